// An OpenID provider on node-oidc-provider, for people who sign in with another bank.
//
// Environment: PORT, ISSUER, CERTIFICATE and KEY (files), CLIENT_ID, CLIENT_SECRET, REDIRECT_URI,
// POST_LOGOUT_REDIRECT_URI. It serves https until it is ended. Its own development pages ask for any name
// and password.

import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { webcrypto } from 'node:crypto';

globalThis.crypto ??= webcrypto; // Node.js 18 has it, but not as a global
const { Provider } = await import('oidc-provider');

const { PORT, ISSUER, CERTIFICATE, KEY, CLIENT_ID, CLIENT_SECRET, REDIRECT_URI, POST_LOGOUT_REDIRECT_URI } =
  process.env;

const provider = new Provider(ISSUER, {
  clients: [
    {
      client_id: CLIENT_ID,
      client_secret: CLIENT_SECRET,
      redirect_uris: [REDIRECT_URI],
      post_logout_redirect_uris: [POST_LOGOUT_REDIRECT_URI],
      grant_types: ['authorization_code'],
      response_types: ['code'],
    },
  ],
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name', 'groups'] },
  conformIdTokenClaims: false,
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({
      sub: id,
      name: `${id} Foreign`,
      email: 'alice@bank.example',
      email_verified: true,
      groups: ['staff'],
    }),
  }),
});
provider.on('server_error', (_, error) => console.error(error));
provider.on('grant.error', (_, error) => console.error(error));
provider.proxy = true;

const tls = { cert: readFileSync(CERTIFICATE), key: readFileSync(KEY) };
createServer(tls, provider.callback()).listen(Number(PORT), '127.0.0.1', () => console.log('READY'));
