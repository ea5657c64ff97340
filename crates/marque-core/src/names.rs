//! Names on the wire: token types, grant types, media types, claim names. One place for all of them.

/// The grant that redeems an approved intent.
pub const GRANT_INTENT: &str = "urn:marque:oauth:grant-type:intent";
/// OpenID Connect CIBA Core 1.0 §10.1.
pub const GRANT_CIBA: &str = "urn:openid:params:grant-type:ciba";
/// RFC 8693 §2.1.
pub const GRANT_TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
/// RFC 8693 §3 style identifier of an intent token.
pub const TOKEN_TYPE_INTENT: &str = "urn:marque:oauth:token-type:intent";
/// Identifier of a transaction token (draft-ietf-oauth-transaction-tokens §"Txn-Token Request").
pub const TOKEN_TYPE_TXN: &str = "urn:ietf:params:oauth:token-type:txn_token";
/// RFC 8693 §3: an access token, for one resource server.
pub const TOKEN_TYPE_ACCESS: &str = "urn:ietf:params:oauth:token-type:access_token";
/// RFC 8693 §3: a JWT; here a grant for one foreign issuer (draft-ietf-oauth-identity-chaining).
pub const TOKEN_TYPE_JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
/// Identifier of what a workload signs for itself (draft-ietf-oauth-transaction-tokens §"Txn-Token Request").
pub const TOKEN_TYPE_SELF_SIGNED: &str = "urn:ietf:params:oauth:token-type:self_signed";
/// RFC 7523 §2.2.
pub const ASSERTION_TYPE_JWT: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// `authorization_details` type of a whole plan (RFC 9396 §2).
pub const DETAIL_PLAN: &str = "agent_intent_plan";
/// `authorization_details` type of one step.
pub const DETAIL_STEP: &str = "agent_intent_step";
/// `authorization_details` type of one concrete call, in a step-up challenge.
pub const DETAIL_CALL: &str = "agent_intent_call";

/// JWS `typ` of an intent token.
pub const TYP_INTENT: &str = "intent+jwt";
/// JWS `typ` of a transaction token.
pub const TYP_TXN: &str = "txntoken+jwt";
/// JWS `typ` of a grant that leaves the trust domain (transaction-token chaining profile).
pub const TYP_DOMAIN_GRANT: &str = "txn-chain+jwt";
/// JWS `typ` of a grant that leaves the trust domain for an intent, without a call chain (draft-ietf-oauth-rfc7523bis).
pub const TYP_INTENT_GRANT: &str = "authorization-grant+jwt";
/// The action of a step by which a call chain leaves the trust domain; its location is the foreign issuer.
pub const ACTION_LEAVE: &str = "leave_domain";
/// JWS `typ` of an access token (RFC 9068 §2.1).
pub const TYP_ACCESS: &str = "at+jwt";
/// JWS `typ` of a signed introspection answer (RFC 9701 §5).
pub const TYP_INTROSPECTION: &str = "token-introspection+jwt";
/// JWS `typ` of a status list (Token Status List).
pub const TYP_STATUS_LIST: &str = "statuslist+jwt";
/// JWS `typ` of an identity assertion for an authorization server (draft-ietf-oauth-identity-assertion-authz-grant).
pub const TYP_ID_JAG: &str = "oauth-id-jag+jwt";
/// JWS `typ` of a DPoP proof (RFC 9449 §4.2).
pub const TYP_DPOP: &str = "dpop+jwt";
/// JWS `typ` of a catalog.
pub const TYP_CATALOG: &str = "marque-catalog+jwt";
/// JWS `typ` of a result receipt.
pub const TYP_RECEIPT: &str = "marque-receipt+jwt";
/// JWS `typ` of Marque's own statement that a catalog counts.
pub const TYP_CATALOG_ADMISSION: &str = "marque-catalog-admission+jwt";
/// Realm role of those who decide on catalogs that lower a severity.
pub const ROLE_ADMINISTRATOR: &str = "marque-admin";
/// JWS `typ` of the extension's request for a plan.
pub const TYP_PLAN_REQUEST: &str = "marque-plan-request+jwt";
/// JWS `typ` of the answer to it.
pub const TYP_PLAN: &str = "marque-plan+jwt";
/// JWS `typ` of a resource server's challenge for one call (draft-rosomakho-oauth-txn-challenge).
pub const TYP_CHALLENGE: &str = "txn-authz-challenge+jwt";
/// JWS `typ` of the extension's request for a step-up's document.
pub const TYP_STEP_UP_REQUEST: &str = "marque-step-up-request+jwt";
/// JWS `typ` of the answer to it.
pub const TYP_STEP_UP: &str = "marque-step-up+jwt";
/// What the key of step-up evidence is for; see [`TYP_EVIDENCE`].
pub const TYP_STEP_UP_EVIDENCE: &str = "marque-step-up-evidence";
/// HTTP field by which a client says that it takes challenges: `?1` (draft-rosomakho-oauth-txn-challenge).
pub const HEADER_ACCEPT_CHALLENGE: &str = "accept-txn-challenge";
/// Error code of a refusal that comes with a challenge (draft-rosomakho-oauth-txn-challenge).
pub const ERROR_TRANSACTION_AUTHORIZATION: &str = "transaction_authorization_required";
/// JWS `typ` of every message of the revocation feed.
pub const TYP_REVOCATION: &str = "marque-revocation+jwt";
/// JWS `typ` of the signed metadata of the decision point (AuthZEN Authorization API 1.0 §9).
pub const TYP_PDP_METADATA: &str = "marque-pdp-metadata+jwt";
/// JWS `typ` of what binds a request for access to the denial before it (AuthZEN Access Request and Approval Profile).
pub const TYP_ACCESS_REQUEST: &str = "marque-access-request+jwt";
/// Collection of the record that AuthZEN's `subject.properties` and `resource.properties` make, for `attr` constraints.
pub const RECORDS_AUTHZEN: &str = "authzen";
/// JWS `typ` that a client assertion should carry (rfc7523bis).
pub const TYP_CLIENT_ASSERTION: &str = "client-authentication+jwt";
/// Claim of the realm's ID token that carries the approval.
pub const CLAIM_APPROVAL: &str = "marque_approval";
/// Member of a published key that ties it to one JWS `typ`, so that no key signs two kinds of token.
pub const JWK_PURPOSE: &str = "marque_typ";
/// HTTP field that carries a transaction token.
pub const HEADER_TXN_TOKEN: &str = "txn-token";
/// HTTP field that carries a client assertion where a request has no form.
pub const HEADER_CLIENT_ASSERTION: &str = "client-assertion";
/// HTTP field that carries a DPoP proof.
pub const HEADER_DPOP: &str = "dpop";
/// What the key of evidence files is for; evidence is signed JSON and has no `typ` of its own.
pub const TYP_EVIDENCE: &str = "marque-evidence";
/// `typ` of a plain JWT (RFC 7519 §5.1): Keycloak's ID tokens and access tokens.
pub const TYP_JWT: &str = "JWT";
