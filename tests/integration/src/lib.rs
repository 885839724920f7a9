//! The integration tests: one binary, a module for each specification, and one for the rules of the house.

#[cfg(test)]
mod account;
#[cfg(test)]
mod audit_trail;
#[cfg(test)]
mod backchannel_logout;
#[cfg(test)]
mod backup;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod bank;
#[cfg(test)]
mod browser_journey;
#[cfg(test)]
mod cimd;
#[cfg(test)]
mod claims_parameter;
#[cfg(test)]
mod client_check;
#[cfg(test)]
mod consent_and_roles;
#[cfg(test)]
mod cors;
#[cfg(test)]
mod discovery;
#[cfg(test)]
mod dpop_key;
#[cfg(test)]
mod encrypted_tokens;
#[cfg(test)]
mod evidence;
#[cfg(test)]
mod fapi2_message_signing;
#[cfg(test)]
mod fapi2_security;
#[cfg(test)]
mod fapi_guide;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod federation;
#[cfg(test)]
mod frontchannel_logout;
#[cfg(test)]
mod house;
#[cfg(test)]
mod interaction_tabs;
#[cfg(test)]
mod jarm;
#[cfg(test)]
mod jwks_uri;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod logout;
#[cfg(test)]
mod main_job;
#[cfg(test)]
mod metadata_truth;
#[cfg(test)]
mod mutual;
#[cfg(test)]
mod mutual_tls_guide;
#[cfg(test)]
mod oidc_prompts;
#[cfg(test)]
mod oidc_responses;
#[cfg(test)]
mod oidc_tokens;
#[cfg(test)]
mod operations_guide;
#[cfg(test)]
mod page_headers;
#[cfg(test)]
mod pairwise;
#[cfg(test)]
mod publisher;
#[cfg(test)]
mod races;
#[cfg(test)]
mod real_binary;
#[cfg(test)]
mod real_clients;
#[cfg(test)]
mod receiver;
#[cfg(test)]
mod refresh;
#[cfg(test)]
mod response_modes;
#[cfg(test)]
mod rfc6749_authorization;
#[cfg(test)]
mod rfc6749_client_auth;
#[cfg(test)]
mod rfc6749_token;
#[cfg(test)]
mod rfc7009_revocation;
#[cfg(test)]
mod rfc7523_bearer;
#[cfg(test)]
mod rfc7591_registration;
#[cfg(test)]
mod rfc7592_management;
#[cfg(test)]
mod rfc7636_pkce;
#[cfg(test)]
mod rfc7662_introspection;
#[cfg(test)]
mod rfc8628_device;
#[cfg(test)]
mod rfc8693_exchange;
#[cfg(test)]
mod rfc8705_mtls;
#[cfg(test)]
mod rfc8705_proxy;
#[cfg(test)]
mod rfc8707_resource;
#[cfg(test)]
mod rfc9068_access_tokens;
#[cfg(test)]
mod rfc9101_jar;
#[cfg(test)]
mod rfc9126_par;
#[cfg(test)]
mod rfc9207_iss;
#[cfg(test)]
mod rfc9396_rar;
#[cfg(test)]
mod rfc9449_dpop;
#[cfg(test)]
mod rfc9470_step_up;
#[cfg(test)]
mod rfc9700_forgery;
#[cfg(test)]
mod rfc9700_redirects;
#[cfg(test)]
mod rfc9701_introspection;
#[cfg(test)]
mod rotation_under_load;
#[cfg(test)]
mod running;
#[cfg(test)]
mod second_factor;
#[cfg(test)]
mod select_account;
#[cfg(test)]
mod session_management;
#[cfg(test)]
mod sign_in;
#[cfg(test)]
mod steps;
#[cfg(test)]
mod traces;
#[cfg(test)]
mod visits;
