const url = process.env.API_URL ?? "http://127.0.0.1:3010";
const response = await fetch(`${url}/api/private-scoped`, {
  headers: { Authorization: `Bearer ${process.env.ACCESS_TOKEN}` },
});
console.log(response.status, await response.text());
