package dev.marque.keycloak.plan;

import com.fasterxml.jackson.databind.JsonNode;

/** What must not be done whatever the steps say: a call to which all that is stated applies. */
final class Blocked {

    private Blocked() {
    }

    /** The line for it: one sentence, so that it does not read as a list of several things that are blocked. */
    static String line(JsonNode node) throws PlanRefused {
        Members blocked = Members.of(node, "blocked").only("action", "resource", "location");
        if (blocked.names().isEmpty()) {
            throw new PlanRefused("an entry that blocks everything");
        }
        String action = blocked.has("action") ? "action " + quoted(blocked, "action") : "every action";
        String resource = blocked.has("resource") ? resource(blocked.object("resource")) : "";
        String location = blocked.has("location") ? " at " + quoted(blocked, "location") : "";
        return "Blocked: " + action + resource + location + ".";
    }

    private static String resource(Members resource) throws PlanRefused {
        resource.only("type", "id");
        String type = resource.has("type") ? " on resource type " + quoted(resource, "type") : "";
        if (!resource.has("id")) {
            if (type.isEmpty()) {
                throw new PlanRefused("a blocked resource without type and id");
            }
            return type;
        }
        // No step stands before: what is blocked is known when the plan is signed.
        Constraint id = Constraint.ofResourceId(resource.value("id"), "blocked.resource.id", new KnownSteps());
        return (type.isEmpty() ? " on every resource" : type) + " with id " + id.phraseWithin();
    }

    private static String quoted(Members members, String name) throws PlanRefused {
        return CanonicalJson.string(members.identifier(name));
    }
}
