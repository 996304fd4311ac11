// Auth0's Express sample API, for comparing answers with the real express-oauth2-jwt-bearer.
import { once } from 'node:events';
import { parseArgs } from 'node:util';
import express from 'express';
import { auth, requiredScopes } from 'express-oauth2-jwt-bearer';

const { values: options } = parseArgs({
  options: {
    issuer: { type: 'string' },
    audience: { type: 'string' },
    port: { type: 'string', default: '0' },
  },
});

const checkJwt = auth({ issuerBaseURL: options.issuer, audience: options.audience });
const checkScopes = requiredScopes('read:messages');

const app = express();

app.get('/api/public', (req, res) => {
  res.json({ message: "Hello from a public endpoint! You don't need to be authenticated to see this." });
});

app.get('/api/private', checkJwt, (req, res) => {
  res.json({ message: 'Hello from a private endpoint! You need to be authenticated to see this.' });
});

app.get('/api/private-scoped', checkJwt, checkScopes, (req, res) => {
  const need = 'You need to be authenticated and have a scope of read:messages to see this.';
  res.json({ message: `Hello from a private endpoint! ${need}` });
});

const server = app.listen(Number(options.port), '127.0.0.1');
await once(server, 'listening');
process.on('SIGTERM', () => process.exit(0));
console.log(JSON.stringify({ url: `http://127.0.0.1:${server.address().port}` }));
