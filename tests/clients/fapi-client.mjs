// A relying party under FAPI 2.0 on openid-client: private_key_jwt, a pushed request, DPoP with the server's
// nonces, ID token, userinfo, refresh, revocation (F2-09, F2-13, F2-19, DP-05, DP-07). With MESSAGE_SIGNING set, the
// pushed request is signed and so is the answer (MS-01, MS-05). The library makes every check; this file only says
// what to do next, and holds the key.
//
// It prints `AUTHORIZE <url>`; whoever runs it (a test, or a person with a browser) goes there and answers on
// standard input with the address the browser was sent back to.
//
// Environment: ISSUER, CLIENT_ID, REDIRECT_URI, SCOPE, KEY (a private JWK); MESSAGE_SIGNING; RESOURCE, an API to
// call with the token.

import assert from 'node:assert/strict';
import { webcrypto } from 'node:crypto';
import { createInterface } from 'node:readline/promises';

globalThis.crypto ??= webcrypto; // Node.js 18 has it, but not as a global
const oidc = await import('openid-client');
const { importJWK } = await import('jose');

const { ISSUER, CLIENT_ID, REDIRECT_URI, SCOPE, KEY, MESSAGE_SIGNING, RESOURCE } = process.env;

const jwk = JSON.parse(KEY);
const key = { key: await importJWK(jwk, 'ES256'), kid: jwk.kid };
const client = { use_mtls_endpoint_aliases: false, id_token_signed_response_alg: 'ES256' };

// A development issuer on this machine speaks plain http, which the library must be told to accept.
const execute = new URL(ISSUER).protocol === 'http:' ? [oidc.allowInsecureRequests] : [];
execute.push(oidc.enableNonRepudiationChecks);
if (MESSAGE_SIGNING) {
  execute.push(oidc.useJwtResponseMode);
  client.authorization_signed_response_alg = 'ES256';
}
const config = await oidc.discovery(new URL(ISSUER), CLIENT_ID, client, oidc.PrivateKeyJwt(key), { execute });
const server = config.serverMetadata();
assert.ok(server.pushed_authorization_request_endpoint && server.dpop_signing_alg_values_supported);

const DPoP = oidc.getDPoPHandle(config, await oidc.randomDPoPKeyPair('ES256'));
const pkceCodeVerifier = oidc.randomPKCECodeVerifier();
const expectedState = oidc.randomState();
const expectedNonce = oidc.randomNonce();
let parameters = {
  redirect_uri: REDIRECT_URI,
  scope: SCOPE,
  state: expectedState,
  nonce: expectedNonce,
  code_challenge: await oidc.calculatePKCECodeChallenge(pkceCodeVerifier),
  code_challenge_method: 'S256',
};
if (MESSAGE_SIGNING) {
  const signed = await oidc.buildAuthorizationUrlWithJAR(config, parameters, key);
  parameters = signed.searchParams;
}
const request = await oidc.buildAuthorizationUrlWithPAR(config, parameters, { DPoP });
assert.deepEqual([...request.searchParams.keys()].sort(), ['client_id', 'request_uri']);
console.log(`AUTHORIZE ${request.href}`);

const input = createInterface({ input: process.stdin });
const response = new URL((await input[Symbol.asyncIterator]().next()).value.trim());
input.close();
if (MESSAGE_SIGNING) assert.deepEqual([...response.searchParams.keys()], ['response']);

const checks = { pkceCodeVerifier, expectedState, expectedNonce, idTokenExpected: true };
const tokens = await oidc.authorizationCodeGrant(config, response, checks, undefined, { DPoP });
assert.equal(tokens.token_type, 'dpop');
const { sub } = tokens.claims();
console.log(`ID token for ${sub}`);

const person = await oidc.fetchUserInfo(config, tokens.access_token, sub, { DPoP });
console.log(`userinfo for ${person.sub}`);
if (RESOURCE) {
  const answer = await oidc.fetchProtectedResource(
    config, tokens.access_token, new URL(RESOURCE), 'GET', undefined, undefined, { DPoP });
  console.log(`resource ${answer.status} ${await answer.text()}`);
}

const refreshed = await oidc.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP });
assert.equal(refreshed.token_type, 'dpop');
assert.equal(refreshed.refresh_token ?? tokens.refresh_token, tokens.refresh_token);
await oidc.fetchUserInfo(config, refreshed.access_token, sub, { DPoP });
// Without the key the token is worth nothing, and without a proof there is none.
await assert.rejects(oidc.fetchUserInfo(config, refreshed.access_token, sub));
const thief = oidc.getDPoPHandle(config, await oidc.randomDPoPKeyPair('ES256'));
await assert.rejects(oidc.fetchUserInfo(config, refreshed.access_token, sub, { DPoP: thief }));
await assert.rejects(oidc.refreshTokenGrant(config, tokens.refresh_token), { error: 'invalid_request' });
console.log('refreshed');

await oidc.tokenRevocation(config, tokens.refresh_token, { token_type_hint: 'refresh_token' });
await assert.rejects(
  oidc.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP }), { error: 'invalid_grant' });
console.log('revoked');
