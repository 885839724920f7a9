### Signing out, errors, the way back to an app.

## Signing out

sign-out-title = Sign out?
sign-out-lede = You are signed in at { $bank } as { $username }.
sign-out-asked = { $client } asks to sign you out at { $bank }, where you are signed in as { $username }.
sign-out-note = Apps that you connected keep the access you gave them.
sign-out-submit = Sign out
sign-out-stay = Stay signed in
signing-out-title = Signing you out
signing-out-lede = Your session at { $bank } has ended. Apps that you signed in to with it are being told.
signing-out-continue = Continue
signing-out-frame = Sign-out at an app
signed-out-title = You are signed out
signed-out-lede = Your session at { $bank } has ended.
signed-out-note = On a shared computer, also close the browser.
signed-out-sign-in = Sign in again

## Errors

problem-request-title = This link does not work
problem-request-message = The app that sent you here made a mistake in its request, so we stopped. Nothing was shared. Please tell the app’s support.
problem-expired-title = This page has expired
problem-expired-message = It was open for too long, was finished in another tab, or was opened in a different browser. Please go back to the app and start again.
problem-attempts-title = Too many attempts
problem-attempts-message = To protect your account we have paused sign-in. Please wait { $wait }, then try again.
problem-not-allowed-title = You cannot give this access
problem-not-allowed-message = The app asks for something that your own account at the bank does not allow. Nothing was shared.
problem-not-found-title = There is nothing here
problem-not-found-message = The address may be mistyped, or the page no longer exists.
problem-internal-title = Something went wrong on our side
problem-internal-message = Please try again in a moment. If it happens again, give us the reference below.
problem-unavailable-title = We will be right back
problem-unavailable-message = The service is busy or being maintained. Please try again in a few minutes.
problem-start-again = Please start again at { $client }.
problem-detail = For the app’s developers
problem-reference = Reference

## Back to the app by form

form-post-title = Going back to { $client }
form-post-lede = You are being taken back to { $client }. If nothing happens, press the button.
form-post-continue = Continue

## Devices

device-code-title = Connect a device
device-code-lede = Type the code that your device shows.
device-code-label = Code
device-code-submit = Continue
device-code-wrong = No device waits for this code. Compare it with the one on your device, or start again there.
device-confirm-title = Is this your device?
device-confirm-lede = { $client } asks for access to your accounts at { $bank } from a device that shows this code:
device-confirm-warning = Go on only if you started this yourself and see the same code on your own device now. If somebody sent you the code or read it to you, stop: they want your access. { $bank } never asks for such a code.
device-confirm-submit = The codes are the same
device-confirm-other = Not my device
device-done-title = Done
device-done-lede = You allowed { $client }. Go on at your device.
device-denied-title = Nothing was allowed
device-denied-lede = { $client } gets no access. You can close this page.
