### Consent: what an app asks for.

consent-title = { $client } asks for access
consent-lede = { $client } wants to connect to { $bank } on your behalf. Please read what it asks for, then decide.
consent-lede-widening = You have let { $client } use some of your information at { $bank } since { $date }. Now it asks for more; what is added is marked “New”.
consent-document = It calls itself { $client }. { $bank } has not checked that; all that is sure is that it is run by { $host }.
consent-signed-in = Signed in as { $name }
consent-switch = Not you?
consent-may = What { $client } may do
consent-exactly = What exactly { $client } asks for
consent-choose-several = Which accounts?
consent-choose-one = From which account?
consent-choose-error = Choose an account, or don’t allow it.
consent-personal = What { $client } learns about you
consent-new = New
consent-sensitive = Private
consent-critical = Acts for you

## Authorization details

detail-actions = To do what
detail-accounts = Accounts
detail-accounts-all = All that you have
detail-amount = Amount
detail-creditor = To
detail-creditor-account = To the account
detail-debtor-account = From
detail-remittance = Reference
detail-action-list_accounts = list accounts
detail-action-read_balances = read balances
detail-action-read_transactions = read transactions
detail-action-initiate = start the payment
detail-action-status = see how it stands
detail-action-cancel = cancel it

## How long

consent-how-long = For how long
consent-until = Until { $date }
consent-until-note = Then access ends by itself, and { $client } has to ask you again.
consent-until-withdrawn = Until you withdraw it
consent-until-withdrawn-note = Access has no end date. It stops when you say so.
consent-offline = Stays connected when you are away
consent-offline-note = { $client } can use this access also while you are not using it.
consent-withdraw = You can withdraw access at any time on your account page at { $bank }. Your password is never shared.

## Decision

consent-allow = Allow
consent-deny = Don’t allow
consent-return = After either choice you go to { $host }
consent-about = About { $client }
consent-policy = Privacy policy
consent-terms = Terms of service

## What an app learns about a customer

personal-identifier = An identifier
personal-identifier-note = A number that tells the app it is you again. It says nothing else about you.
personal-profile = Your profile
personal-email = Your email address
personal-phone = Your phone number
personal-address = Your postal address

## Claims of OpenID Connect Core §5.1

claim-name = Name
claim-given_name = Given name
claim-family_name = Family name
claim-middle_name = Middle name
claim-nickname = Nickname
claim-preferred_username = Username
claim-profile = Profile page
claim-picture = Picture
claim-website = Website
claim-email = Email address
claim-email_verified = Email confirmed
claim-gender = Gender
claim-birthdate = Date of birth
claim-zoneinfo = Time zone
claim-locale = Language
claim-phone_number = Phone number
claim-phone_number_verified = Phone number confirmed
claim-address = Address
claim-updated_at = Last changed
