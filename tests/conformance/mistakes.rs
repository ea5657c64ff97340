//! What implementations often do wrong, mistake by mistake; each line says what is right.

use super::{Line, not, partly, shown};

const NO_SIGNALS: &str = "shared signals are not built yet";
const NO_DEVICE: &str = "there is no device endpoint";
const NO_MCP_SERVER: &str =
    "Marque is no MCP server and has no authorization endpoint; its clients are registered at the realm";

/// Every line of the mistakes.
pub const LINES: &[Line] = &[
    shown(
        "CIBA: no hint, and two hints, are refused",
        "CIBA Core §7.1",
        &["a_ciba_request_that_is_not_offered_is_refused_and_leaves_nothing"],
    ),
    partly(
        "CIBA: an `auth_req_id` is redeemed once",
        "CIBA Core §10.1",
        &["a_client_that_speaks_ciba_redeems_the_same_intent_once_whichever_grant_it_uses"],
        "a refusal within 60 seconds, where the same key gets a token of the same family again on purpose.",
    ),
    shown(
        "CIBA, intent grant: `slow_down` enlarges the interval, for good",
        "CIBA Core §11; RFC 8628 §3.5",
        &[
            "polling_too_fast_enlarges_the_interval_for_good",
            "a_client_that_speaks_ciba_redeems_the_same_intent_once_whichever_grant_it_uses",
        ],
    ),
    partly(
        "CIBA: whether a user exists is not told",
        "CIBA Core §15",
        &["whether_a_user_exists_is_not_told_to_who_may_not_ask_her"],
        "that both answers take the same time.",
    ),
    shown(
        "CIBA: no text of the agent's own is passed on as if it were trusted",
        "CIBA Core §7.1",
        &["a_ciba_request_that_is_not_offered_is_refused_and_leaves_nothing", "hostile_text_is_shown_as_text"],
    ),
    not("Device: nothing is approved by opening the complete address", "RFC 8628 §3.3.1", NO_DEVICE),
    not("Device: user codes cannot be guessed without end", "RFC 8628 §5.1", NO_DEVICE),
    shown(
        "Intent grant: its name is absolute",
        "OAuth 2.1 §4.4",
        &["a_token_request_that_is_none_of_ours_is_refused_and_leaves_nothing"],
    ),
    shown(
        "Intent grant: an approval is redeemed by its own client and key alone",
        "OAuth 2.1 §4.1.3 by analogy",
        &[
            "another_key_redeems_nothing_and_afterwards_ends_everything",
            "ids_that_are_foreign_unknown_or_no_ids_are_answered_alike",
        ],
    ),
    shown(
        "Intent grant: an approval is used once, and a late repeat ends everything",
        "OAuth 2.1 §4.1.3 by analogy",
        &["an_approval_is_redeemed_once_and_a_late_repeat_ends_everything"],
    ),
    shown(
        "Intent grant: no client reads another's approval",
        "RFC 9126 §2.2 by analogy",
        &["plans_that_are_foreign_unknown_or_none_are_answered_alike", "another client has no such intent"],
    ),
    shown(
        "Intent grant: what is granted is what was signed, whatever changed since",
        "intent-security §3.3",
        &[
            "what_is_granted_is_what_was_signed_whatever_the_rows_say",
            "a_row_that_says_approved_or_active_grants_nothing",
            "a_catalog_row_that_its_server_did_not_sign_describes_nothing",
        ],
    ),
    shown(
        "Exchange: every `audience` and `resource` counts, not only one",
        "RFC 8693 §2.1",
        &[
            "audience_is_the_trust_domain_once_and_each_resource_must_be_a_steps",
            "scope_and_resource_only_narrow",
            "it_is_for_exactly_one_resource_server_that_the_parent_has_steps_for",
        ],
    ),
    shown(
        "Exchange: the actor is the authenticated client; an actor token, and its type alone, are refused",
        "RFC 8693 §2.1",
        &[
            "a_token_request_that_is_none_of_ours_is_refused_and_leaves_nothing",
            "every_parameter_of_every_form_endpoint_in_every_wrong_way",
        ],
    ),
    shown(
        "Exchange: earlier actors stay in the chain",
        "RFC 8693 §4.1",
        &[
            "only_the_holder_and_named_delegates_get_a_child_and_nobody_twice",
            "a_delegate_gets_one_of_what_it_was_given_and_the_chain_goes_on_in_it",
        ],
    ),
    shown(
        "Exchange: the answer says the scope, narrowed or not",
        "RFC 8693 §2.2.1",
        &["scope_and_resource_only_narrow", "no_grant_and_no_exchange_gives_a_refresh_token"],
    ),
    shown(
        "Exchange: whether the parent still lives is decided with the issue itself",
        "RFC 8693 §2.2.2",
        &[
            "no_hop_escapes_the_revocation_of_its_parent",
            "an_intent_token_ends_its_intent_and_everything_from_it",
            "no_token_is_ever_answered_without_its_row",
        ],
    ),
    shown(
        "Client assertion: a list of audiences is refused",
        "rfc7523bis",
        &["client_routes_refuse_every_wrong_assertion"],
    ),
    shown(
        "Client assertion: each is used once",
        "RFC 7523 §3",
        &["client_routes_take_an_assertion_once_and_one_method_alone"],
    ),
    shown(
        "Client assertion: a public key is no secret, and no algorithm is taken from the header",
        "RFC 8725 §3.1",
        &["a_client_assertion", "a_token_of_the_realm_as_client_assertion", "a_public_key_is_no_hmac_secret"],
    ),
    shown("Client assertion: a key id is no path", "RFC 8725 §3.10", &["a_client_assertion"]),
    shown(
        "Certificates: a header about one is believed from a named proxy alone",
        "RFC 9440 §4",
        &["a_proxy_is_believed_from_its_address_alone"],
    ),
    shown(
        "DPoP: a nonce is one realm's own",
        "RFC 9449 §8",
        &["no_other_text_is_a_nonce_and_nothing_crosses", "a_nonce_is_taken_in_its_own_minute_and_the_next_one"],
    ),
    shown(
        "DPoP: `htu` is compared with the public address",
        "RFC 9449 §4.3",
        &[
            "a_certificate_is_one_method_and_the_proof_is_for_the_address_that_was_used",
            "the_uri_is_compared_in_normal_form_without_query_and_fragment",
            "client_routes_refuse_every_wrong_proof",
        ],
    ),
    shown(
        "DPoP: replicas share what was used",
        "RFC 9449 §11.1",
        &[
            "a_replica_takes_the_nonce_of_another_and_no_proof_that_another_took",
            "two_servers_on_one_database_take_a_proof_once_and_give_one_permit",
        ],
    ),
    shown(
        "Introspection: nothing is told for other audiences",
        "RFC 7662 §2.2",
        &[
            "a_resource_server_sees_only_the_steps_at_its_own_locations",
            "to_anybody_but_its_holder_and_for_what_is_no_token_the_answer_is_inactive_alone",
        ],
    ),
    shown(
        "Introspection: nobody keeps the answer",
        "RFC 7662 §4",
        &["what_was_revoked_or_is_over_is_inactive", "whoever_asks_for_it_gets_the_answer_signed_and_addressed"],
    ),
    shown(
        "Introspection: a token of a plan that ended is inactive",
        "RFC 7662 §2.2",
        &["what_was_revoked_or_is_over_is_inactive", "a_token_that_is_over_is_inactive_although_its_status_is_valid"],
    ),
    shown(
        "Revocation: an unknown token is no error",
        "RFC 7009 §2.2",
        &["whatever_is_no_token_of_the_client_is_answered_alike_and_goes_on"],
    ),
    shown(
        "Revocation: what ends with a token is written down ([tokens](tokens.md)) and so",
        "RFC 7009 §2.1",
        &[
            "an_intent_token_ends_its_intent_and_everything_from_it",
            "a_transaction_token_ends_with_the_hops_below_it_and_nothing_else",
        ],
    ),
    shown(
        "Metadata: the issuer is the same to the byte, without a slash more",
        "RFC 8414 §3.3",
        &["an_issuer_with_a_slash_at_its_end_is_another_issuer", "each_endpoint_and_grant_of_the_metadata_is_there"],
    ),
    shown(
        "Metadata: the well-known part is inserted before the issuer's path",
        "RFC 8414 §3.1",
        &["the metadata is found under an issuer with a path", "anyone_reads_metadata_keys_and_the_schema_of_plans"],
    ),
    shown("Metadata: grant types are listed", "RFC 8414 §2", &["each_endpoint_and_grant_of_the_metadata_is_there"]),
    shown(
        "Metadata of a protected resource: `resource` is the address that was asked",
        "RFC 9728 §3.3",
        &["metadata_stands_before_the_path_of_its_resource"],
    ),
    shown(
        "Access tokens: the type is checked",
        "RFC 9068 §4",
        &[
            "an_access_token_at_the_decision_point",
            "the_decision_point_takes_either_kind_each_under_its_own_name",
            "one_kind_of_token_is_not_another",
        ],
    ),
    shown(
        "Access tokens: an ID token is none",
        "RFC 9068 §5",
        &[
            "resource_server_routes_refuse_what_the_realm_signed_for_something_else",
            "no_other_token_of_the_realm_authenticates_a_client",
        ],
    ),
    shown(
        "Access tokens: an audience in a list is read, and a second one refused",
        "RFC 9068 §4",
        &["resource_server_routes_refuse_what_the_realm_signed_for_something_else"],
    ),
    shown(
        "Access tokens: a client's own token is not taken for a person's, nor the other way round",
        "RFC 9068 §5",
        &[
            "no_other_token_of_the_realm_authenticates_a_client",
            "every_wrong_id_token_is_refused",
            "administrator_routes_refuse_everybody_else",
        ],
    ),
    shown(
        "Status list: the first status is in the lowest bits",
        "Token Status List §4.1",
        &[
            "the_first_status_is_in_the_lowest_bits",
            "the_lists_of_the_specification_are_what_is_made_of_their_statuses",
        ],
    ),
    shown(
        "Status list: compressed by zlib, not gzip",
        "Token Status List §4.1",
        &["the_lists_of_the_specification_are_what_is_made_of_their_statuses"],
    ),
    shown(
        "Status list: places are drawn, not counted",
        "Token Status List §12.5",
        &["places_are_drawn_all_over_the_list", "what_was_revoked_is_invalid_in_its_place_and_nothing_else"],
    ),
    shown(
        "Status list: its `sub` is its address",
        "Token Status List §5.1",
        &["the_list_is_named_as_the_tokens_name_it_and_says_how_long_it_is_good"],
    ),
    shown(
        "Status list: a token that is over is over, whatever its status",
        "Token Status List §8.3",
        &["a_token_that_is_over_is_inactive_although_its_status_is_valid"],
    ),
    not("Security events: no `exp` and no `sub`", "SSF §4", NO_SIGNALS),
    not("Security events: RS256 beside ES256", "CAEP interoperability profile", NO_SIGNALS),
    not("Security events: a push is answered 202", "RFC 8935 §2.2", NO_SIGNALS),
    not("Security events: verification events are sent", "SSF §8.1.4", NO_SIGNALS),
    not("Security events: unknown kinds are ignored", "RFC 8417 §2.2", NO_SIGNALS),
    shown("AuthZEN: a denial is 200", "AuthZEN §6.2", &["the_eight_decisions_come_out_with_and_without_context"]),
    shown(
        "AuthZEN: unknown members are ignored",
        "AuthZEN §10",
        &[
            "further_properties_and_unknown_members_change_nothing",
            "unknown_members_are_ignored_and_the_request_id_comes_back",
        ],
    ),
    shown("AuthZEN: a batch keeps its order", "AuthZEN §7", &["order_and_length_are_kept"]),
    shown("AuthZEN: the semantic of a batch counts", "AuthZEN §7.1.2", &["the_semantic_says_when_to_stop"]),
    shown(
        "AuthZEN: the request id comes back",
        "AuthZEN §10.1.3",
        &["the_request_id_comes_back_and_is_not_needed", "the_request_id_comes_back_with_every_answer"],
    ),
    shown(
        "Canonical form: members are sorted by UTF-16 units",
        "RFC 8785 §3.2.3",
        &["sorts_by_utf16_and_writes_minimal_escapes", "vectors::canonical"],
    ),
    shown(
        "Canonical form: numbers that others would write otherwise are refused",
        "RFC 8785 §3.2.2.3",
        &["vectors::canonical", "refuses_numbers_that_other_parsers_would_change"],
    ),
    shown(
        "Canonical form: a member that stands twice is refused before anything is hashed",
        "RFC 8785 §3.1",
        &["vectors::canonical", "refuses_duplicate_members_with_their_path"],
    ),
    shown(
        "Canonical form: what is signed is what was shown; nothing is dropped on the way",
        "RFC 8785 §1",
        &["a_resolved_plan_reads_back_from_its_canonical_bytes_only", "unknown_members_are_refused_everywhere"],
    ),
    shown(
        "Passkeys: the challenge is more than the digest, and new on each page",
        "WebAuthn Level 3 §13.4.3",
        &[
            "vectors::challenge",
            "the_challenge_covers_each_part_in_its_place",
            "an_assertion_for_an_earlier_page_is_refused",
        ],
    ),
    shown(
        "Passkeys: the user is verified",
        "WebAuthn Level 3 §7.2",
        &[
            "an_assertion_without_user_verification_is_refused",
            "an_authenticator_that_cannot_verify_its_user_approves_nothing",
        ],
    ),
    shown("Passkeys: a frame is refused", "WebAuthn Level 3 §7.2", &["an_assertion_made_in_a_frame_is_refused"]),
    not(
        "Passkeys: the counter is kept only after every other check",
        "WebAuthn Level 3 §7.2",
        "Keycloak keeps the passkeys and their counters",
    ),
    shown(
        "Passkeys: the assertion stays as evidence that is verified again",
        "WebAuthn Level 3 §7.2",
        &[
            "the_evidence_of_an_approved_call_is_verified_offline",
            "an_approval_whose_evidence_a_withdrawn_key_signed_gives_no_token",
        ],
    ),
    shown(
        "Passkeys: another origin is refused",
        "WebAuthn Level 3 §7.2",
        &["an_assertion_of_another_origin_challenge_or_kind_is_refused"],
    ),
    not(
        "Passkeys: the user handle of a discoverable credential is compared",
        "WebAuthn Level 3 §7.2",
        "the person has signed in before; the passkeys that are asked for are hers",
    ),
    shown(
        "Authorization details: no unknown member is dropped in silence",
        "RFC 9396 §5",
        &["a_bad_plan_is_refused_with_its_path_and_leaves_nothing", "unknown_members_are_refused_everywhere"],
    ),
    shown(
        "Authorization details: what the person reads is what the token carries",
        "RFC 9396 §11.2",
        &[
            "shows_every_part_of_a_plan",
            "a_wider_plan_reads_differently",
            "what_is_granted_is_what_was_signed_whatever_the_rows_say",
        ],
    ),
    shown(
        "Authorization details: the narrowed ones are echoed",
        "RFC 9396 §7",
        &["scope_and_resource_only_narrow", "the worker replaces it by a narrower one of the same transaction"],
    ),
    not("MCP: no token is passed on to others", "MCP authorization", NO_MCP_SERVER),
    not("MCP: `code_challenge_methods_supported` is there", "MCP authorization", NO_MCP_SERVER),
    not("MCP: all needed scopes are asked for at once", "MCP authorization", NO_MCP_SERVER),
    not("MCP: no redirect is followed to client metadata", "CIMD §4", NO_MCP_SERVER),
    shown(
        "Identity assertions: issued to the very client that sends them",
        "ID-JAG §5",
        &["every_wrong_identity_assertion_is_refused"],
    ),
    shown(
        "Identity assertions: one audience",
        "ID-JAG §5",
        &["every_wrong_identity_assertion_is_refused", "a_proof_of_the_user_at_submission"],
    ),
    shown(
        "No grant brings a refresh token",
        "identity-chaining §5.4; ID-JAG",
        &["no_grant_and_no_exchange_gives_a_refresh_token"],
    ),
    shown(
        "Identity assertions: used once",
        "RFC 7523 §3",
        &["a_fresh_proof_of_the_user_lets_an_agent_ask_her_once_each"],
    ),
    shown(
        "Chaining: nothing internal leaves the domain",
        "transaction-token chaining profile",
        &["a_signed_step_gives_one_grant_for_one_issuer_without_anything_from_within"],
    ),
    shown(
        "Challenge for one transaction: by the resource server that answers for the place",
        "transaction authorization challenge",
        &["a_challenge_that_is_not_the_resource_servers_own_right_one_is_refused"],
    ),
    shown(
        "Challenge for one transaction: the approval is of no use for another",
        "transaction authorization challenge",
        &["a_challenge_for_something_else_is_refused", "an_approval_permits_its_own_call_and_presenter_once"],
    ),
    shown(
        "Challenge for one transaction: what is shown is the call's own, exactly",
        "transaction authorization challenge",
        &[
            "a_value_is_shown_exactly_and_hides_nothing",
            "a_document_is_its_canonical_bytes_and_of_its_very_call",
            "vectors::step_up",
        ],
    ),
];
