### Sign-in, second factor, its set-up, recovery codes.

## Sign in

sign-in-title = Sign in
sign-in-continue = to continue to { $client }
sign-in-account = to see your security settings and connected apps
sign-in-submit = Sign in
sign-in-notice-again = For your safety, please sign in once more.
sign-in-notice-session-ended = You were signed out because your session had ended.
sign-in-error-rejected = That username and password do not match. Please try again.

## The code

factor-title = Enter your code
factor-lede = Open your authenticator app and enter the code it shows for { $bank }, account { $username }.
factor-submit = Continue
factor-recovery-summary = I can’t use my authenticator app
factor-recovery-lede = Enter one of the recovery codes you saved when you set up the app. Each works once.
factor-recovery-submit = Use recovery code
factor-error-wrong = That code is not right. A new one appears every 30 seconds: please enter the one you see now.
factor-error-used = That code was used already. Please wait for the next one.
factor-error-recovery = That recovery code is not right, or it was used already.

## Setting up the app

enrol-title = Set up two-step sign-in
enrol-title-replace = Set up a new authenticator app
enrol-lede = { $bank } protects your account with a second step: a code from an app on your phone. You set it up once; it takes about two minutes.
enrol-lede-replace = Codes from your present app keep working until you finish here.
enrol-app-title = Have an authenticator app ready
enrol-app-note = Any app for one-time codes will do, such as the one in your phone’s password manager. If you have none, install one from your app store.
enrol-scan-title = Add your account to the app
enrol-scan-note = In the app, choose “add account” and scan this picture.
enrol-qr-alt = QR code that adds { $account } at { $bank } to an authenticator app. The same key is written beside it.
enrol-open-app = On this phone? Open your authenticator app
enrol-manual-note = If you cannot scan, enter this by hand:
enrol-manual-account = Account
enrol-manual-key = Key
enrol-manual-type = Type
enrol-manual-type-value = Time-based, 6 digits
enrol-confirm-title = Enter the code the app shows now
enrol-submit = Turn on two-step sign-in
enrol-back = Not now
enrol-error-wrong = That code is not right. Check that your phone sets its time automatically, then enter the code you see now.

## Recovery codes

codes-title = Save your recovery codes
codes-lede = If you lose your phone, one of these codes lets you sign in.
codes-note = Print them, write them down, or keep them in a password manager. Keep them away from your phone and show them to no one, not even to the bank.
codes-for = { $bank } · recovery codes of { $username } · { $date }
codes-once = Each code works once. They are shown only now; earlier codes no longer work.
codes-saved = I have saved them

## With a bank or an employer

sign-in-upstreams = Or sign in with
sign-in-realm-submit = Continue
sign-in-upstream-denied = You were not signed in there. You can try again, or sign in here.
sign-in-upstream-unavailable = That provider cannot be reached at the moment. Please try again later, or sign in here.
sign-in-upstream-failed = The answer of that provider was not accepted. Please try again.
sign-in-upstream-not-fresh = You were asked to sign in once more, and that provider did not ask you. Please try again.
sign-in-upstream-not-linked = Your account there is not connected to an account here. Sign in here with your password, then connect it on your account page.
sign-in-upstream-no-provider = No bank or employer is known for that address. Please sign in here.

## Choosing an account

select-account-title = Choose an account
select-account-lede = to continue to { $client }
select-account-who = Signed in here
select-account-since = Since
select-account-continue = Continue as { $name }
select-account-another = Use another account
select-account-note = With another account, { $username } is signed out of this browser first.
