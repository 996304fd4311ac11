import { Configuration, MessagesApi, ProblemFromJSON, ResponseError } from "messages-client";

const configuration = new Configuration({
  basePath: process.env.API_URL ?? "http://127.0.0.1:3010",
  accessToken: process.env.ACCESS_TOKEN,
});
try {
  console.log((await new MessagesApi(configuration).privateScoped()).message);
} catch (error) {
  if (!(error instanceof ResponseError)) throw error;
  console.log(error.response.status, ProblemFromJSON(await error.response.json()).code);
}
