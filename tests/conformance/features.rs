//! What the specifications ask for, feature by feature.

use super::{Line, not, partly, shown};

/// Every line of the features.
pub const LINES: &[Line] = &[
    shown(
        "A transaction token is asked for and answered by token exchange: `N_A`, its own `issued_token_type`, no refresh token",
        "txn-tokens, Request and Response",
        &[
            "test_3_it_is_exchanged_for_a_transaction_token",
            "test_it_gets_a_transaction_token_for_an_approved_plan",
            "the intent token is exchanged for a transaction token",
            "no_grant_and_no_exchange_gives_a_refresh_token",
        ],
    ),
    shown(
        "A transaction token has the type `txntoken+jwt` and the required claims",
        "txn-tokens, JWT Header and Body",
        &[
            "the intent token is exchanged for a transaction token",
            "test_3_it_is_exchanged_for_a_transaction_token",
            "claims::missing_members_are_refused_in_every_object",
        ],
    ),
    shown(
        "A refresh token is no subject token",
        "txn-tokens, Subject Token Types",
        &[
            "test_4_what_rfc_8693_refuses_is_refused",
            "what is not in the parent, another audience and a refresh token are refused",
        ],
    ),
    shown(
        "A subject token whose scope is not known is refused",
        "txn-tokens, Unknown subject_token scope",
        &[
            "claims::missing_members_are_refused_in_every_object",
            "a_workload_starts_a_chain_of_its_own_that_permits_nothing",
        ],
    ),
    shown(
        "A replacement keeps `txn`, `sub` and `aud`, widens nothing, and is not given for a token that is over",
        "txn-tokens, Txn-Token as subject_token",
        &[
            "a_child_is_never_wider_than_its_parent",
            "a_token_whose_time_is_over_is_refused",
            "a_child_permits_nothing_that_its_parent_refuses",
            "the worker replaces it by a narrower one of the same transaction",
        ],
    ),
    shown(
        "A replacement keeps the chain of calls",
        "txn-tokens, Txn-Token as subject_token",
        &[
            "only_the_holder_and_named_delegates_get_a_child_and_nobody_twice",
            "whom_the_holder_names_gets_what_the_token_has_and_nobody_else_does",
        ],
    ),
    shown(
        "A transaction token travels in `Txn-Token` alone, once",
        "txn-tokens, Txn-Token Header",
        &["refuses_other_places_for_a_token"],
    ),
    shown(
        "A self-signed subject token speaks for its own workload: `iss`, `sub`, `aud`, `iat`, `exp`",
        "txn-tokens, Self-Signed Subject Tokens",
        &[
            "a_workload_starts_a_chain_of_its_own_that_permits_nothing",
            "a_chain_without_an_intent_asks_for_nothing_and_speaks_for_nobody_else",
            "a_self_signed_subject_token",
        ],
    ),
    partly(
        "Workloads authenticate asymmetrically",
        "txn-tokens, Mutual Authentication",
        &["shared_secrets_are_refused_with_a_sentence", "a shared secret is no authentication"],
        "the server's own TLS, which a deployment brings.",
    ),
    shown(
        "A chain without an intent is refused by gates unless they are switched to it, and permits nothing",
        "txn-tokens, Self-Signed Subject Tokens",
        &[
            "a_gate_takes_no_call_without_an_intent_unless_it_is_switched_to_it",
            "nothing_is_permitted_by_it_however_the_gate_is_switched",
        ],
    ),
    shown("No token is written to the log", "txn-tokens, Logging", &["no_token_and_no_proof_is_written_to_the_log"]),
    partly(
        "Actor and subject are set by the issuer, and no workload acts twice in a chain",
        "txn-tokens-for-agents",
        &[
            "only_the_holder_and_named_delegates_get_a_child_and_nobody_twice",
            "a_chain_ends_where_the_plan_says",
            "a_chain_without_an_intent_asks_for_nothing_and_speaks_for_nobody_else",
        ],
        "levels of assurance, which no transaction token of Marque's carries.",
    ),
    partly(
        "R1, R2: the plan is bound to its approval and its tokens; what was changed is refused",
        "intent-security §3.3",
        &[
            "any_changed_byte_is_refused",
            "every_part_of_a_resolved_plan_is_under_its_digest",
            "what_is_granted_is_what_was_signed_whatever_the_rows_say",
            "a_plan_changed_after_its_display_is_not_approved",
        ],
        "a check of the whole chain of tokens offline.",
    ),
    partly(
        "R4, R5: each call is checked at the resource server, and no handler is reached around the check",
        "intent-security §3.3",
        &[
            "refuses_what_is_outside_the_plan_and_says_what_was_nearest",
            "refuses_forged_tampered_and_intent_tokens",
            "refuses_proofs_for_something_else",
            "refuses_the_revoked_and_the_stale",
            "an_action_without_a_handler_is_refused_before_it_is_charged",
        ],
        "the table of negative conformance tests of the mission drafts, which is not ported.",
    ),
    not(
        "R6: both shapes of drift are seen in the evidence",
        "intent-security §3.3",
        "signed decision records are not built yet",
    ),
    not(
        "R7: responses to drift: deny, degrade, confirm again, negotiate again, fall back",
        "intent-security §3.3",
        "responses to drift beyond refusal and step-up are not built yet",
    ),
    partly(
        "R8, R9: only an authenticated agent submits, only the plan's user consents",
        "intent-security §3.3",
        &[
            "client_routes_refuse_every_wrong_assertion",
            "a_wrong_user_is_refused_and_the_plan_stays_pending",
            "a_bad_plan_is_refused_with_its_path_and_leaves_nothing",
        ],
        "the context in which an agent runs, of which no claim is made.",
    ),
    partly(
        "The digest of a plan is of its canonical form",
        "RFC 8785",
        &[
            "vectors::canonical",
            "sorts_by_utf16_and_writes_minimal_escapes",
            "the_digest_does_not_depend_on_how_a_plan_is_written",
        ],
        "the digests of the mission drafts, whose documents are others.",
    ),
    shown(
        "A member that stands twice in JSON is refused",
        "mission drafts, Canonicalization; RFC 8785 §3.1",
        &["refuses_duplicate_members_with_their_path", "what_is_no_plan_is_refused_and_leaves_nothing"],
    ),
    shown(
        "Narrowing is reflexive and transitive, and a meet is below both",
        "mission drafts, Subset and Common Constraints",
        &[
            "covering_is_reflexive_and_transitive_over_the_small_universe",
            "covering_is_sound_and_useful_over_the_small_universe",
            "a_meet_is_below_both_and_exact_over_the_small_universe",
        ],
    ),
    shown(
        "Amounts are decimals and no floats: one notation, compared by value, currencies apart",
        "mission drafts, Common Constraints",
        &[
            "reads_plain_notation_and_nothing_else",
            "values_are_equal_and_texts_are_not",
            "main::every_scenario_comes_out_as_it_says",
        ],
    ),
    partly(
        "A person approves with a passkey: type, challenge, origin, verified user, no frame",
        "WebAuthn Level 3 §7.2",
        &[
            "an_assertion_without_user_verification_is_refused",
            "an_assertion_of_another_origin_challenge_or_kind_is_refused",
            "an_assertion_made_in_a_frame_is_refused",
            "an_approval_gives_the_agent_its_token",
        ],
        "the test vectors of the specification.",
    ),
    shown(
        "The challenge is for one page, one plan and one use",
        "WebAuthn Level 3 §13.4.3",
        &[
            "vectors::challenge",
            "the_challenge_covers_each_part_in_its_place",
            "a_replayed_post_gives_no_second_code",
            "an_assertion_for_an_earlier_page_is_refused",
            "the_claim_of_one_intent_is_not_taken_for_another",
            "a_page_that_was_open_too_long_approves_nothing_and_opens_again",
        ],
    ),
    shown(
        "The intent grant is an extension grant with an absolute URI",
        "OAuth 2.1 §4.4",
        &[
            "the agent polls, too early once, until the person has approved",
            "test_2_a_plan_is_submitted_approved_and_redeemed",
            "a_token_request_that_is_none_of_ours_is_refused_and_leaves_nothing",
        ],
    ),
    shown(
        "Repeated parameters are refused, empty ones left out, unknown ones ignored; credentials are never taken from a URL",
        "OAuth 2.1 §3.2",
        &[
            "every_parameter_of_every_form_endpoint_in_every_wrong_way",
            "credentials_in_the_query_authenticate_nobody",
            "nothing_is_read_from_the_query",
            "empty_and_unknown_parameters_change_nothing",
        ],
    ),
    shown(
        "Errors have their code, status, characters and, where one is due, challenge",
        "OAuth 2.1 §3.2.4; RFC 6750 §3",
        &[
            "every_parameter_of_every_form_endpoint_in_every_wrong_way",
            "what_is_no_form_is_refused_at_every_client_route",
            "descriptions_keep_to_the_characters_that_oauth_allows",
            "shared_secrets_are_refused_with_a_sentence",
            "refusals_say_why_in_body_and_challenge",
        ],
    ),
    shown(
        "Answers of the token endpoint are kept by nobody",
        "OAuth 2.1 §3.2.3",
        &[
            "every_parameter_of_every_form_endpoint_in_every_wrong_way",
            "the agent polls, too early once, until the person has approved",
        ],
    ),
    shown(
        "A bad subject token is `invalid_request`, a bad target `invalid_target`",
        "RFC 8693 §2.2.2",
        &[
            "a_subject_token_that_marque_did_not_sign_for_this_is_refused",
            "audience_is_the_trust_domain_once_and_each_resource_must_be_a_steps",
            "test_4_what_rfc_8693_refuses_is_refused",
        ],
    ),
    shown(
        "`act` nests, and only the outermost actor has a say",
        "RFC 8693 §4.1",
        &[
            "the_chain_of_actors_puts_the_current_one_first",
            "only_the_holder_and_named_delegates_get_a_child_and_nobody_twice",
        ],
    ),
    shown(
        "Wrong authorization details are `invalid_authorization_details`; what was granted is echoed",
        "RFC 9396 §5 and §7",
        &[
            "a_bad_plan_is_refused_with_its_path_and_leaves_nothing",
            "what_is_no_plan_is_refused_and_leaves_nothing",
            "scope_and_resource_only_narrow",
            "an_access_token_says_what_rfc_9068_asks_for_and_only_what_is_meant_for_its_resource_server",
        ],
    ),
    partly(
        "A submission is pushed and answered 201, and is its client's own",
        "RFC 9126 §2",
        &[
            "a plan is submitted",
            "another client has no such intent",
            "plans_that_are_foreign_unknown_or_none_are_answered_alike",
        ],
        "`request_uri`: Marque has no authorization endpoint at which one could be used.",
    ),
    partly(
        "CIBA by polling: acknowledgement, pending, slower, denied, over, redeemed",
        "CIBA Core §7 to §11",
        &[
            "a_client_that_speaks_ciba_redeems_the_same_intent_once_whichever_grant_it_uses",
            "ciba_polls_are_told_of_denial_and_of_time_that_is_over",
            "a_ciba_request_that_is_not_offered_is_refused_and_leaves_nothing",
            "the_metadata_says_which_ciba_is_offered",
        ],
        "ping and push, which are not offered.",
    ),
    not(
        "Device authorization for command lines",
        "RFC 8628 §3",
        "agents submit and poll by the intent grant or CIBA; there is no device endpoint",
    ),
    shown(
        "The audience of a client assertion is the issuer alone",
        "rfc7523bis",
        &[
            "client_routes_refuse_every_wrong_assertion",
            "the_token_endpoint_is_an_audience_only_for_a_client_that_is_switched_to_it",
            "an_issuer_with_a_slash_at_its_end_is_another_issuer",
        ],
    ),
    shown(
        "Clients authenticate by certificate, vouched for or of their own",
        "RFC 8705 §2",
        &[
            "a_certificate_that_an_authority_vouches_for_must_name_what_the_realm_says",
            "a_certificate_of_its_own_must_have_a_registered_key",
            "the_metadata_says_where_certificates_are_taken",
        ],
    ),
    shown(
        "Tokens are bound to the certificate of a client that sends no proof, and are good with that certificate alone",
        "RFC 8705 §3",
        &[
            "a_client_that_sends_no_proof_has_tokens_bound_to_its_certificate",
            "only_the_very_certificate_or_a_delegate_exchanges_a_token_that_is_bound_to_one",
            "a_certificate_does_not_stand_in_for_a_proof",
            "the_decision_point_takes_the_certificate_that_the_resource_server_saw_for_reads_alone",
            "a_bound_token_is_good_with_its_very_certificate_alone",
            "a_bound_access_token_is_a_bearer_token_over_its_connection",
            "a plan is handed in and redeemed over TLS, and the token is bound to the certificate",
            "test_2_a_plan_is_redeemed_and_its_token_is_bound_to_the_certificate",
            "test_4_another_certificate_of_the_very_client_exchanges_nothing_of_it",
        ],
    ),
    shown(
        "Proofs of possession: the published examples, nonces, binding, no use as Bearer",
        "RFC 9449",
        &[
            "vectors::dpop",
            "a_proof_without_a_nonce_of_the_server_is_asked_for_one_and_uses_nothing_up",
            "client_routes_refuse_every_wrong_proof",
            "a_bound_token_sent_as_bearer_is_refused_wherever_a_token_is_taken",
            "the_gate_takes_it_as_dpop_and_never_as_bearer",
            "a_proof_of_possession",
        ],
    ),
    shown(
        "The code challenge at sign-in is that of the published example",
        "RFC 7636 Appendix B",
        &["the_code_challenge_is_that_of_the_published_example"],
    ),
    shown(
        "Introspection tells nothing about tokens that do not concern the caller",
        "RFC 7662 §2.2 and §4",
        &[
            "to_anybody_but_its_holder_and_for_what_is_no_token_the_answer_is_inactive_alone",
            "a_resource_server_sees_only_the_steps_at_its_own_locations",
            "a_token_that_is_asked_about_or_revoked",
        ],
    ),
    shown(
        "An answer of introspection is signed where that is asked for",
        "RFC 9701",
        &[
            "whoever_asks_for_it_gets_the_answer_signed_and_addressed",
            "the_signed_form_is_given_to_who_asks_for_it_by_name",
        ],
    ),
    shown(
        "Revocation answers 200 whatever the token is",
        "RFC 7009 §2.2",
        &["whatever_is_no_token_of_the_client_is_answered_alike_and_goes_on", "a_token_that_is_asked_about_or_revoked"],
    ),
    shown(
        "The metadata is at the inserted path, of exactly this issuer, and promises what is there",
        "RFC 8414 §2 and §3",
        &[
            "the metadata is found under an issuer with a path",
            "test_1_the_metadata_is_what_rfc_8414_asks_for",
            "anyone_reads_metadata_keys_and_the_schema_of_plans",
            "each_endpoint_and_grant_of_the_metadata_is_there",
        ],
    ),
    partly(
        "Metadata of a protected resource and the challenge that names it",
        "RFC 9728 §3 and §5",
        &[
            "metadata_is_at_the_address_that_challenges_name_where_it_is_published",
            "metadata_stands_before_the_path_of_its_resource",
        ],
        "`signed_metadata`; an MCP client from end to end.",
    ),
    partly(
        "An access token for one resource server has the type, claims and audience of the profile, and no other token is taken for one",
        "RFC 9068 §2 and §4",
        &[
            "an_access_token_says_what_rfc_9068_asks_for_and_only_what_is_meant_for_its_resource_server",
            "the_decision_point_takes_either_kind_each_under_its_own_name",
            "it_is_no_subject_token_under_any_name",
            "the_gate_takes_it_as_dpop_and_never_as_bearer",
            "an_access_token_at_the_decision_point",
        ],
        "RS256: Marque signs with ES256 alone.",
    ),
    shown(
        "A status list is packed, compressed, signed and named as the draft says",
        "Token Status List §4 to §8",
        &[
            "the_lists_of_the_specification_are_what_is_made_of_their_statuses",
            "the_list_is_named_as_the_tokens_name_it_and_says_how_long_it_is_good",
            "what_was_revoked_is_invalid_in_its_place_and_nothing_else",
        ],
    ),
    shown(
        "All status lists are named in one place, which metadata and lists name",
        "Token Status List §9",
        &[
            "all_lists_are_found_in_one_place_that_metadata_and_lists_name",
            "every list is named where the metadata says",
        ],
    ),
    not("Security events are pushed, polled and verified", "SSF §7 and §8", "shared signals are not built yet"),
    not("A revoked session suspends plans", "CAEP §3.1", "shared signals are not built yet"),
    shown(
        "The decision point answers one question and several, and describes itself",
        "AuthZEN Authorization API 1.0",
        &[
            "the_eight_decisions_come_out_with_and_without_context",
            "order_and_length_are_kept",
            "the_semantic_says_when_to_stop",
            "what_is_found_is_permitted_when_it_is_asked_for",
            "the_metadata_is_where_it_must_be_and_names_every_endpoint",
            "the_signed_metadata_verifies_and_says_the_same",
        ],
    ),
    partly(
        "What was denied is asked for, and decided anew once it is approved",
        "AuthZEN Access Request and Approval Profile, draft 1",
        &[
            "what_goes_beyond_a_plan_is_one_call_and_resets_neither_uses_nor_budget",
            "a_request_is_for_what_was_denied_and_by_whoever_was_told",
            "only_a_call_that_the_agent_proved_and_the_plan_refuses_can_be_asked_for",
            "a_denial_that_is_too_long_ago_is_not_asked_for",
        ],
        "several items in one request, cancellation, callbacks, forms and `approval.state`: Marque is both services and knows its approvals.",
    ),
    shown(
        "An intent token says how and when the person signed in, and introspection repeats it",
        "RFC 9470 §6.2",
        &["the_holder_sees_its_tokens"],
    ),
    partly(
        "A resource server that wants a stronger or fresher sign-in says so",
        "RFC 9470 §3",
        &["a_resource_server_that_wants_another_sign_in_says_which"],
        "an agent that goes on from there: it submits a plan anew, and the realm asks for the sign-in that it is configured to.",
    ),
    shown(
        "A call is approved just in time: a signed challenge, once, for exactly that call",
        "transaction authorization challenge",
        &[
            "a_challenge_that_is_not_the_resource_servers_own_right_one_is_refused",
            "a_challenge_for_something_else_is_refused",
            "a_challenge_is_taken_once_and_the_same_call_is_asked_about_once",
            "an_approval_permits_its_own_call_and_presenter_once",
        ],
    ),
    shown(
        "A grant for another domain: for one issuer, once, minutes, by a signed step",
        "identity-chaining §2.3; txn-token chaining profile",
        &[
            "a_signed_step_gives_one_grant_for_one_issuer_without_anything_from_within",
            "no_chain_leaves_without_a_step_that_was_shown_as_what_it_is",
            "a_step_that_promises_what_nobody_keeps_beyond_is_not_admitted",
            "the_real_keycloak_gives_a_plain_token_for_a_grant",
            "test_a_chain_leaves_with_its_txn_and_nothing_else",
        ],
    ),
    shown(
        "A token of one domain is exchanged for a grant that another domain's server takes once; nothing comes back",
        "identity-chaining §2",
        &[
            "identity_chaining",
            "an_intent_token_gives_a_grant_without_a_chain_and_that_is_a_turn",
            "test_the_metadata_says_what_may_be_asked_for",
            "test_an_intent_token_gives_a_grant_that_the_other_server_takes_once",
            "test_what_is_not_signed_for_it_is_refused_there",
            "test_what_it_gives_is_taken_nowhere_at_home",
            "test_nothing_leaves_for_another_server_or_with_more",
            "test_authgent_chains_from_one_domain_to_the_other",
        ],
    ),
    not("ID-JAG as issuer", "ID-JAG §4", "an identity assertion is an identity provider's to issue; Marque takes them"),
    shown(
        "An identity assertion proves the user to Marque: type, audience, client, key, time, once",
        "ID-JAG §5",
        &["every_wrong_identity_assertion_is_refused", "a_fresh_proof_of_the_user_lets_an_agent_ask_her_once_each"],
    ),
    shown(
        "An ID token as hint proves a sign-in of the user through this client, lately; what a grant gave without one proves nothing",
        "OpenID Connect Core §2; CIBA Core §7.1",
        &[
            "every_wrong_id_token_is_refused",
            "an_id_token_of_the_real_realm_for_this_agent_is_a_proof",
            "the_real_keycloak_gives_a_plain_token_for_a_grant",
        ],
    ),
    shown(
        "A person is told on the page that she did not start what an agent asks on its own",
        "CIBA Core §15; OAuth 2.1 §7",
        &[
            "the_plan_says_who_began_as_marque_saw_it",
            "an_approval_gives_the_agent_its_token",
            "display",
            "what_marque_adds_is_under_the_digest",
        ],
    ),
    not(
        "Documents of client metadata at URLs, fetched with care",
        "CIMD §4 and §6",
        "clients are registered at the realm; Marque fetches no address that a client names",
    ),
    shown(
        "An answer of the realm's authorization endpoint that is of another issuer, or says none, is refused",
        "RFC 9207 §2.4",
        &["an_answer_of_another_issuer_or_of_none_is_refused"],
    ),
    shown(
        "Pages are not shown within another",
        "OAuth 2.1 §7.11",
        &[
            "no_page_of_marque_is_shown_within_another",
            "the_approval_page_is_not_shown_within_another",
            "an_assertion_made_in_a_frame_is_refused",
        ],
    ),
    partly(
        "Plans of others and plans that are none are answered alike",
        "AAuth; mission drafts, status",
        &[
            "plans_that_are_foreign_unknown_or_none_are_answered_alike",
            "ids_that_are_foreign_unknown_or_no_ids_are_answered_alike",
            "auth_req_ids_that_are_foreign_unknown_or_no_ids_are_answered_alike",
            "the_receipt_does_not_exist_for_another_user",
        ],
        "that the answers take the same time.",
    ),
];
