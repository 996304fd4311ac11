import client from "messages-client";

const api = new client.ApiClient(process.env.API_URL ?? "http://127.0.0.1:3010");
api.authentications.oauth2.accessToken = process.env.ACCESS_TOKEN;
try {
  console.log((await new client.MessagesApi(api).privateScoped()).message);
} catch (error) {
  console.log(error.status, client.Problem.constructFromObject(error.body).code);
}
