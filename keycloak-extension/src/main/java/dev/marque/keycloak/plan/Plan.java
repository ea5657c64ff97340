package dev.marque.keycloak.plan;

import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.time.format.DateTimeParseException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

import com.fasterxml.jackson.databind.JsonNode;

/**
 * A resolved plan: what a person signs. Every member is known to this version, because a page
 * must not collect a signature for something that it does not show.
 *
 * @param username the plan's user by name, or null if the plan names the user by {@code sub}
 * @param expiresAt an RFC 3339 time in UTC, as written in the plan
 */
public record Plan(byte[] canonical, String issuer, String intentId, String purpose, String agent, String userIssuer,
                   String username, String sub, String expiresAt, long maxHops, List<Step> steps,
                   List<Delegate> delegates, List<CatalogReference> catalogs) {

    /** A client to which some steps may be handed. */
    record Delegate(String clientId, List<String> steps) {
    }

    /** The catalog that the plan was resolved against, for one location. */
    record CatalogReference(String location, long version, byte[] sha256) {
    }

    /**
     * Parses the canonical bytes of a plan.
     *
     * @throws PlanRefused if the bytes are not RFC 8785 canonical JSON or hold anything this version cannot show
     */
    public static Plan of(byte[] canonical) throws PlanRefused {
        JsonNode node = StrictJson.object(canonical, "the plan");
        if (!Arrays.equals(CanonicalJson.of(node).getBytes(StandardCharsets.UTF_8), canonical)) {
            throw new PlanRefused("the plan is not canonical JSON");
        }
        Members plan = Members.of(node, "plan").only("version", "issuer", "intent_id", "purpose", "agent", "user", "mode",
                "limits", "steps", "delegates", "catalogs");
        if (plan.integer("version", 1) != 1) {
            throw new PlanRefused("a plan of a later version");
        }
        plan.require("mode", "strict");
        plan.object("agent").only("client_id", "jkt").text("jkt");
        Members user = user(plan);
        Members limits = plan.object("limits").only("expires_at", "max_hops");
        List<Step> steps = steps(plan);
        return new Plan(canonical, plan.text("issuer"), plan.text("intent_id"), plan.text("purpose"),
                plan.object("agent").text("client_id"), user.text("iss"), optional(user, "username"),
                optional(user, "sub"), time(limits), limits.integer("max_hops", 0), steps, delegates(plan, steps),
                references(plan));
    }

    /** SHA-256 of the bytes as received, never of JSON written out again. */
    public byte[] digest() {
        return Binary.sha256(canonical);
    }

    /** How the plan names its user. */
    String userName() {
        return username != null ? username : sub;
    }

    /** Whether this is the plan's user. */
    public boolean isFor(String realmUsername, String realmSub) {
        return username != null ? username.equals(realmUsername) : sub.equals(realmSub);
    }

    private static Members user(Members plan) throws PlanRefused {
        Members user = plan.object("user").only("iss", "username", "sub");
        if (user.has("username") == user.has("sub")) {
            throw new PlanRefused("the plan must name its user by username or by sub");
        }
        return user;
    }

    private static String optional(Members members, String name) throws PlanRefused {
        return members.has(name) ? members.text(name) : null;
    }

    private static String time(Members limits) throws PlanRefused {
        String time = limits.text("expires_at");
        try {
            if (time.endsWith("Z") && Instant.parse(time) != null) {
                return time;
            }
        } catch (DateTimeParseException e) {
            throw new PlanRefused("limits.expires_at is not a time");
        }
        throw new PlanRefused("limits.expires_at is not in UTC");
    }

    private static List<Step> steps(Members plan) throws PlanRefused {
        List<Step> steps = new ArrayList<>();
        Set<String> ids = new HashSet<>();
        for (JsonNode node : plan.list("steps")) {
            Step step = Step.of(node);
            if (!ids.add(step.id())) {
                throw new PlanRefused("two steps have one id");
            }
            steps.add(step);
        }
        return List.copyOf(steps);
    }

    private static List<Delegate> delegates(Members plan, List<Step> steps) throws PlanRefused {
        List<Delegate> delegates = new ArrayList<>();
        Set<String> ids = new HashSet<>();
        steps.forEach(step -> ids.add(step.id()));
        Set<String> clients = new HashSet<>();
        for (JsonNode node : plan.has("delegates") ? plan.list("delegates") : List.<JsonNode>of()) {
            Members delegate = Members.of(node, "delegate").only("client_id", "steps");
            Delegate each = new Delegate(delegate.text("client_id"), delegate.texts("steps"));
            if (!clients.add(each.clientId()) || !ids.containsAll(each.steps())) {
                throw new PlanRefused("a delegate is listed twice or holds an unknown step");
            }
            delegates.add(each);
        }
        return List.copyOf(delegates);
    }

    private static List<CatalogReference> references(Members plan) throws PlanRefused {
        List<CatalogReference> references = new ArrayList<>();
        Set<String> locations = new HashSet<>();
        for (JsonNode node : plan.list("catalogs")) {
            Members reference = Members.of(node, "catalog reference").only("location", "version", "sha256");
            if (!locations.add(reference.text("location"))) {
                throw new PlanRefused("a location has two catalogs");
            }
            references.add(new CatalogReference(reference.text("location"), reference.integer("version", 1),
                    reference.bytes("sha256")));
        }
        return List.copyOf(references);
    }
}
