// An OpenID provider wearing an Auth0 tenant's paths, parameters and token shapes.
//
// Signing in without a browser, with one cookie jar per user:
//   GET  /authorize?response_type=code&client_id=spa&redirect_uri=…&scope=openid%20read:messages
//        &audience=…&state=…&code_challenge=…&code_challenge_method=S256   -> 303 to /u/login/<uid>
//   POST /u/login/<uid>  username=ada                                      -> 303 to /authorize/<uid>
//   GET  /authorize/<uid>                                                  -> 303 to redirect_uri?code=…
//   POST /oauth/token  grant_type=authorization_code, client_id, code, redirect_uri, code_verifier
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';
import { parseArgs } from 'node:util';
import { Provider } from 'oidc-provider';

const defaultRedirect = 'http://127.0.0.1:3010/ui/oauth2-redirect.html';
const { values: options } = parseArgs({
  options: {
    port: { type: 'string', default: '0' },
    profile: { type: 'string', default: 'auth0' },
    scope: { type: 'string', default: 'read:messages' },
    'redirect-uri': { type: 'string', multiple: true, default: [defaultRedirect] },
  },
});

// Standard output carries one line, and oidc-provider writes its notices there.
console.info = console.error;

const randomId = () => randomBytes(16).toString('base64url');
const loginForm = '<form method="post"><input name="username" required><button>Log in</button></form>';
const day = 24 * 60 * 60;
const apiScopes = options.scope.split(' ');
const userScopes = ['openid', 'profile', 'email'];
const withoutApiScopes = new Set(['auth0|ben', 'machine-unscoped']);

const profiles = {
  auth0: ({ payload: { jti, client_id: azp, ...claims } }, machine) => ({
    header: { typ: 'JWT' },
    payload: { ...claims, azp, gty: machine ? 'client-credentials' : undefined },
  }),
  rfc9068: (token) => token,
};
const profile = profiles[options.profile];
if (!profile) throw new TypeError(`--profile must be one of ${Object.keys(profiles).join(', ')}`);

function shapeToken(ctx, { kind, aud, scopes }, token) {
  const machine = kind === 'ClientCredentials';
  if (machine) token.payload.sub += '@clients';
  if (scopes.has('openid')) token.payload.aud = [aud, `${ctx.oidc.issuer}userinfo`];
  Object.assign(token, profile(token, machine));
}

function describeApi(ctx, audience, client) {
  const { account, params } = ctx.oidc;
  const machine = params.grant_type === 'client_credentials';
  const granted = withoutApiScopes.has(account?.accountId ?? client.clientId) ? [] : apiScopes;
  // A machine that names no scope gets all it was granted; oidc-provider would give none.
  if (machine) params.scope ??= granted.join(' ');
  return {
    scope: [...(machine ? [] : userScopes), ...granted].join(' '),
    accessTokenFormat: 'jwt',
    jwt: { sign: { alg: 'RS256' } },
  };
}

// Auth0 asks no consent for first-party applications; describeApi decides what a user really gets.
async function grantWithoutConsent({ oidc }) {
  const grant = new oidc.provider.Grant({
    accountId: oidc.account.accountId,
    clientId: oidc.client.clientId,
  });
  grant.addOIDCScope(oidc.requestParamOIDCScopes);
  for (const [audience, { scope }] of Object.entries(oidc.resourceServers)) {
    grant.addResourceScope(audience, scope);
  }
  await grant.save();
  return grant;
}

const signingKey = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' });

const machineClient = (client_id) => ({
  client_id,
  client_secret: 'machine-secret',
  grant_types: ['client_credentials'],
  response_types: [],
  redirect_uris: [],
});
const spaClient = {
  client_id: 'spa',
  redirect_uris: options['redirect-uri'],
  token_endpoint_auth_method: 'none',
};

const configuration = {
  jwks: { keys: [{ ...signingKey, kid: randomId(), use: 'sig', alg: 'RS256' }] },
  routes: {
    authorization: '/authorize',
    token: '/oauth/token',
    userinfo: '/userinfo',
    jwks: '/.well-known/jwks.json',
  },
  clients: [machineClient('machine'), machineClient('machine-unscoped'), spaClient],
  clientBasedCORS: (ctx, origin, client) => client.redirectUris.some((uri) => new URL(uri).origin === origin),
  findAccount: (ctx, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
  loadExistingGrant: grantWithoutConsent,
  interactions: { url: (ctx, { uid }) => `/u/login/${uid}` },
  cookies: { keys: [randomId()] },
  ttl: { AccessToken: day, ClientCredentials: day },
  extraParams: ['audience'],
  formats: { customizers: { jwt: shapeToken } },
  // The default error page loads a font from the network.
  renderError: (ctx, error) => { ctx.body = error; },
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    dPoP: { enabled: true },
    rpInitiatedLogout: { enabled: false },
    resourceIndicators: {
      enabled: true,
      defaultResource: ({ oidc }) => oidc.params.audience ?? oidc.body?.audience,
      getResourceServerInfo: describeApi,
      useGrantedResource: () => true,
    },
  },
};

const server = createServer().listen(Number(options.port), '127.0.0.1');
await once(server, 'listening');
const issuer = `http://127.0.0.1:${server.address().port}/`;
const provider = new Provider(issuer, configuration);

provider.use(async (ctx, next) => {
  if (!ctx.path.startsWith('/u/login/')) return next();
  if (ctx.method === 'GET') return void (ctx.body = loginForm);
  const form = new URLSearchParams(await text(ctx.req));
  const login = { accountId: `auth0|${form.get('username')}` };
  await provider.interactionFinished(ctx.req, ctx.res, { login, consent: {} });
});

server.on('request', provider.callback());
process.on('SIGTERM', () => process.exit(0));
console.log(JSON.stringify({ issuer }));
