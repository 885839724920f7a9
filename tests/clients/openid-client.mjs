// A relying party on openid-client: discovery, authorization code with PKCE, ID token, userinfo, refresh,
// revocation. The library makes every check; this file only says what to do next.
//
// It prints `AUTHORIZE <url>`; whoever runs it (a test, or a person with a browser) goes there and answers on
// standard input with the address the browser was sent back to.
//
// Environment: ISSUER, CLIENT_ID, REDIRECT_URI, SCOPE; CLIENT_SECRET (absent: a public client);
// CLIENT_AUTH (`client_secret_basic`, the default, or `client_secret_post`).

import assert from 'node:assert/strict';
import { webcrypto } from 'node:crypto';
import { createInterface } from 'node:readline/promises';

globalThis.crypto ??= webcrypto; // Node.js 18 has it, but not as a global
const oidc = await import('openid-client');

const { ISSUER, CLIENT_ID, CLIENT_SECRET, CLIENT_AUTH, REDIRECT_URI, SCOPE } = process.env;

function authentication() {
  if (!CLIENT_SECRET) return oidc.None();
  return CLIENT_AUTH === 'client_secret_post'
    ? oidc.ClientSecretPost(CLIENT_SECRET)
    : oidc.ClientSecretBasic(CLIENT_SECRET);
}

// A development issuer on this machine speaks plain http, which the library must be told to accept.
const execute = new URL(ISSUER).protocol === 'http:' ? [oidc.allowInsecureRequests] : [];
const config = await oidc.discovery(new URL(ISSUER), CLIENT_ID, undefined, authentication(), { execute });
assert.equal(config.serverMetadata().issuer, ISSUER);

const pkceCodeVerifier = oidc.randomPKCECodeVerifier();
const expectedState = oidc.randomState();
const expectedNonce = oidc.randomNonce();
const request = oidc.buildAuthorizationUrl(config, {
  redirect_uri: REDIRECT_URI,
  scope: SCOPE,
  state: expectedState,
  nonce: expectedNonce,
  code_challenge: await oidc.calculatePKCECodeChallenge(pkceCodeVerifier),
  code_challenge_method: 'S256',
});
console.log(`AUTHORIZE ${request.href}`);

const input = createInterface({ input: process.stdin });
const response = new URL((await input[Symbol.asyncIterator]().next()).value.trim());
input.close();

const tokens = await oidc.authorizationCodeGrant(config, response, {
  pkceCodeVerifier,
  expectedState,
  expectedNonce,
  idTokenExpected: true,
});
const { sub } = tokens.claims();
console.log(`ID token for ${sub}`);

const person = await oidc.fetchUserInfo(config, tokens.access_token, sub);
console.log(`userinfo for ${person.sub}`);

assert.ok(tokens.refresh_token, 'a refresh token came');
const refreshed = await oidc.refreshTokenGrant(config, tokens.refresh_token);
assert.notEqual(refreshed.access_token, tokens.access_token);
await oidc.fetchUserInfo(config, refreshed.access_token, sub);
console.log('refreshed');

// A public client's refresh token was rotated; a confidential one's may have stayed.
const current = refreshed.refresh_token ?? tokens.refresh_token;
await oidc.tokenRevocation(config, current, { token_type_hint: 'refresh_token' });
await assert.rejects(oidc.refreshTokenGrant(config, current), { error: 'invalid_grant' });
await assert.rejects(oidc.fetchUserInfo(config, refreshed.access_token, sub));
console.log('revoked');
