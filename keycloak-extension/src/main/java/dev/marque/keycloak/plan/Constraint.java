package dev.marque.keycloak.plan;

import java.util.ArrayList;
import java.util.List;

import com.fasterxml.jackson.databind.JsonNode;

/** What a value is bound to, with the words a person reads for it. */
record Constraint(String phrase, boolean unbounded) {

    private static final String ANYTHING = "ANYTHING (UNBOUNDED)";

    /** Reads {@code const}, {@code one_of}, {@code text} or {@code any}; exactly one of them. */
    static Constraint of(JsonNode node, String what) throws PlanRefused {
        Members members = Members.of(node, what);
        if (members.names().size() != 1) {
            throw new PlanRefused(what + " is not exactly one constraint");
        }
        String kind = members.names().get(0);
        return switch (kind) {
            case "const" -> new Constraint(CanonicalJson.of(members.value(kind)), false);
            case "one_of" -> new Constraint("one of " + values(members.list(kind)), false);
            case "text" -> text(members.object(kind).only("max", "urls"));
            case "any" -> any(members, what);
            default -> throw new PlanRefused(what + " is an unknown constraint");
        };
    }

    /** A resource's id is one exact text or a constraint. */
    static Constraint ofResourceId(JsonNode id, String what) throws PlanRefused {
        if (id.isTextual()) {
            return new Constraint(CanonicalJson.string(id.textValue()), false);
        }
        return of(id, what);
    }

    private static String values(List<JsonNode> values) throws PlanRefused {
        List<String> texts = new ArrayList<>();
        for (JsonNode value : values) {
            texts.add(CanonicalJson.of(value));
        }
        return String.join(", ", texts);
    }

    private static Constraint text(Members text) throws PlanRefused {
        boolean urls = text.has("urls") && text.flag("urls");
        String links = urls ? "links allowed" : "without links";
        return new Constraint("any text up to " + text.integer("max", 0) + " characters, " + links, false);
    }

    private static Constraint any(Members members, String what) throws PlanRefused {
        if (!members.flag("any")) {
            throw new PlanRefused(what + " is an unknown constraint");
        }
        return new Constraint(ANYTHING, true);
    }
}
