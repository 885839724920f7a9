### The account page.

account-title = Your account
account-lede = Signed in as { $name }
account-sign-out = Sign out

## Connected apps

account-apps = Connected apps
account-apps-none = No app has access to your accounts or your details.
account-apps-note = These apps may use your information at { $bank }. Withdrawing access takes effect at once.
account-app-since = Since { $date }
account-app-until = Until { $date }
account-app-until-withdrawn = Until you withdraw it
account-withdraw = Withdraw access

## Sessions

account-sessions = Where you are signed in
account-session-current = This device
account-session-address = Address { $address }
account-session-since = Signed in { $date }
account-session-seen = Last active { $date }
account-session-end = End session

## Two-step sign-in

account-factor = Two-step sign-in
account-factor-off = Your account is protected by your password only. A code from an app on your phone makes it much safer.
account-factor-on = An authenticator app has been set up since { $date }.
account-codes-left = { $count ->
    [0] You have no recovery codes left.
    [one] You have one recovery code left.
   *[other] You have { $count } recovery codes left.
}
account-factor-enrol = Set up
account-factor-replace = Replace the app
account-factor-codes = New recovery codes

## Password

account-password = Change password
account-password-note = Several unrelated words are easier to remember and harder to guess than a short puzzle. Other sessions end when you change it.
account-password-submit = Change password
account-error-password-wrong = Your current password is not right.
account-error-password-weak = The new password is too easy to guess. Please choose another.
account-error-password-length = The new password must have between { $min } and { $max } characters.

## What just happened

account-notice-password = Your password was changed, and your other sessions were ended.
account-notice-second-factor = Two-step sign-in is on.
account-notice-codes = You have new recovery codes. The earlier ones no longer work.
account-notice-session = The session was ended.
account-notice-withdrawn = Access was withdrawn. The app can no longer use it.

## Signing in with a bank or an employer

account-upstreams = Sign in with another bank or your employer
account-upstreams-note = Whoever can sign in to a connected account can sign in here.
account-upstream-since = Connected since { $date }
account-upstream-link = Connect
account-upstream-unlink = Disconnect
account-notice-linked = Your account there is now connected: you can sign in with it.
account-notice-unlinked = That account is no longer connected.
account-notice-link-taken = Nothing was connected: that account belongs to somebody else here, or you have connected another one there.
account-notice-link-failed = Nothing was connected. Please try again.
account-notice-only-way = You have no password here, so this is your only way to sign in. Nothing was changed.
