### Words that several pages share. The same files, ids and variables exist in every language.

footer-caution = You are at { $host }. { $bank } never asks for your password or your codes by phone, email or message.
cancel-back = Cancel and go back to { $client }
back-to-client = Back to { $client }
new-tab = (opens in a new tab)

## Labels of fields

field-username = Username
field-password = Password
field-realm = Email address at your bank or employer
field-otp = 6-digit code
field-recovery-code = Recovery code
field-current-password = Current password
field-new-password = New password
otp-format = Six digits

## Waiting; $wait in other messages is one of these

wait-seconds = { $count ->
    [one] { $count } second
   *[other] { $count } seconds
}
wait-minutes = { $count ->
    [one] { $count } minute
   *[other] { $count } minutes
}
error-wait = Too many attempts. Please wait { $wait }, then try again.
