// oauth4webapi, which nobody here wrote, asks for a token that is bound to a key, and calls the API with proofs.
// Arguments: the issuer, its audience, the operation's URL. Prints what came of each algorithm, and of a proof sent twice.
import * as oauth from 'oauth4webapi'

const [issuer, audience, url] = process.argv.slice(2)
const plain = { [oauth.allowInsecureRequests]: true }
const as = await oauth
  .discoveryRequest(new URL(issuer), { algorithm: 'oidc', ...plain })
  .then((answer) => oauth.processDiscoveryResponse(new URL(issuer), answer))
const client = { client_id: 'development' }
const secret = oauth.ClientSecretPost('development')
const found = {}
for (const alg of ['ES256', 'ES384', 'ES512', 'RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'Ed25519', 'EdDSA']) {
  try {
    const DPoP = oauth.DPoP(client, await oauth.generateKeyPair(alg))
    const asked = new URLSearchParams({ audience, scope: 'read:messages' })
    const answer = await oauth.clientCredentialsGrantRequest(as, client, secret, asked, { DPoP, ...plain })
    const { access_token: token, token_type: type } = await oauth.processClientCredentialsResponse(as, client, answer)
    const called = await oauth.protectedResourceRequest(token, 'GET', new URL(url), undefined, null, { DPoP, ...plain })
    found[alg] = `${type} ${called.status}`
  } catch (error) {
    found[alg] = `${error.name}: ${error.message}`
  }
}
console.log(JSON.stringify(found))
