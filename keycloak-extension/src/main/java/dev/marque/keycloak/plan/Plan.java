package dev.marque.keycloak.plan;

import java.nio.charset.StandardCharsets;
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
 * @param unasked whether the agent began on its own, by its pairing, without a sign of the user
 * @param permissive whether catalogs were allowed to add reads
 * @param blocked a line for each thing that must not be done
 */
public record Plan(byte[] canonical, String issuer, String intentId, String purpose, String agent, String userIssuer,
                   String username, String sub, boolean unasked, boolean permissive, PlanLimits limits, KnownSteps known,
                   List<Delegate> delegates, List<String> blocked, List<CatalogReference> catalogs) {

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
        JsonNode node = StrictJson.signed(canonical, LanguageLimits.PLAN_BYTES, "the plan");
        if (!Arrays.equals(CanonicalJson.of(node).getBytes(StandardCharsets.UTF_8), canonical)) {
            throw new PlanRefused("the plan is not canonical JSON");
        }
        Members plan = Members.of(node, "plan").only("version", "issuer", "intent_id", "purpose", "agent", "user",
                "started_by", "mode", "limits", "steps", "delegates", "blocked", "catalogs");
        if (plan.integer("version", 1) != 1) {
            throw new PlanRefused("a plan of a later version");
        }
        Members user = user(plan);
        boolean permissive = isPermissive(plan);
        KnownSteps steps = steps(plan, permissive);
        return new Plan(canonical, plan.text("issuer"), plan.text("intent_id"), purpose(plan),
                plan.holder("agent"), user.text("iss"), optional(user, "username"),
                optional(user, "sub"), isUnasked(plan), permissive, PlanLimits.of(plan.object("limits"), steps), steps,
                delegates(plan, steps), blocked(plan), references(plan));
    }

    /** What may be done, in the order in which it is shown. */
    List<Step> steps() {
        return known.inOrder();
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

    /** Plans from before it was said who began say nothing. */
    private static boolean isUnasked(Members plan) throws PlanRefused {
        if (!plan.has("started_by")) {
            return false;
        }
        plan.oneOf("started_by", Set.of("user", "agent"));
        return plan.text("started_by").equals("agent");
    }

    private static boolean isPermissive(Members plan) throws PlanRefused {
        if (plan.text("mode").equals("permissive")) {
            return true;
        }
        plan.require("mode", "strict");
        return false;
    }

    private static String purpose(Members plan) throws PlanRefused {
        String purpose = plan.text("purpose");
        if (Forms.chars(purpose) > LanguageLimits.PURPOSE_CHARS) {
            throw new PlanRefused("a purpose that is too long");
        }
        return purpose;
    }

    private static KnownSteps steps(Members plan, boolean permissive) throws PlanRefused {
        KnownSteps steps = new KnownSteps();
        boolean added = false;
        for (JsonNode node : plan.list("steps")) {
            Step step = Step.of(node, steps);
            if (added && !step.conditions().added() || step.conditions().added() && !permissive) {
                throw new PlanRefused("a step is added in strict mode, or before one that the agent asked for");
            }
            added = step.conditions().added();
            steps.add(step);
        }
        if (steps.inOrder().size() > LanguageLimits.STEPS) {
            throw new PlanRefused("more steps than anybody reads");
        }
        return steps;
    }

    private static List<String> blocked(Members plan) throws PlanRefused {
        List<String> lines = new ArrayList<>();
        for (JsonNode node : plan.has("blocked") ? plan.list("blocked") : List.<JsonNode>of()) {
            lines.add(Blocked.line(node));
        }
        return List.copyOf(lines);
    }

    private static List<Delegate> delegates(Members plan, KnownSteps steps) throws PlanRefused {
        List<Delegate> delegates = new ArrayList<>();
        Set<String> clients = new HashSet<>();
        for (JsonNode node : plan.has("delegates") ? plan.list("delegates") : List.<JsonNode>of()) {
            Members delegate = Members.of(node, "delegate").only("client_id", "steps");
            Delegate each = new Delegate(delegate.identifier("client_id"), delegate.distinctTexts("steps"));
            if (!clients.add(each.clientId()) || !each.steps().stream().allMatch(steps::has)) {
                throw new PlanRefused("a delegate is listed twice or holds an unknown step");
            }
            delegates.add(each);
        }
        if (delegates.size() > LanguageLimits.DELEGATES) {
            throw new PlanRefused("more delegates than anybody reads");
        }
        return List.copyOf(delegates);
    }

    private static List<CatalogReference> references(Members plan) throws PlanRefused {
        List<CatalogReference> references = new ArrayList<>();
        Set<String> locations = new HashSet<>();
        for (JsonNode node : plan.elements("catalogs")) {
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
