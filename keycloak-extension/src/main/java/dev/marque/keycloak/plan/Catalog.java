package dev.marque.keycloak.plan;

import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;

import com.fasterxml.jackson.databind.JsonNode;

/** A resource server's own description of its actions. Its digest is over the payload octets as signed. */
record Catalog(String clientId, long version, String location, byte[] digest, Map<String, Action> actions) {

    private static final Set<String> TYPES = Set.of("string", "integer", "boolean", "array", "object");

    /** One action: what it does, to which type of resource, and the sentence that says so. */
    record Action(ActionClass actionClass, boolean irreversible, String resourceType, Set<String> args,
                  Template template) {
    }

    static Catalog of(byte[] payload) throws PlanRefused {
        Members catalog = Members.of(StrictJson.object(payload, "a catalog"), "catalog")
                .only("iss", "version", "location", "actions");
        Members members = catalog.object("actions");
        Map<String, Action> actions = new HashMap<>();
        for (String name : members.names()) {
            actions.put(name, action(members.value(name), "action " + name));
        }
        return new Catalog(catalog.text("iss"), catalog.integer("version", 1), catalog.text("location"),
                Binary.sha256(payload), Map.copyOf(actions));
    }

    private static Action action(JsonNode node, String what) throws PlanRefused {
        Members action = Members.of(node, what).only("class", "reversible", "resource", "args", "display");
        ActionClass actionClass = ActionClass.of(action.text("class"));
        Set<String> args = args(action);
        boolean irreversible = !action.flag("reversible") && actionClass != ActionClass.READ;
        return new Action(actionClass, irreversible, action.text("resource"), args,
                Template.of(action.object("display").text(DisplayLines.LOCALE), args));
    }

    private static Set<String> args(Members action) throws PlanRefused {
        Set<String> args = new HashSet<>();
        if (!action.has("args")) {
            return args;
        }
        Members declared = action.object("args");
        for (String name : declared.names()) {
            if (!TYPES.contains(declared.object(name).only("type").text("type"))) {
                throw new PlanRefused("an argument of an unknown type");
            }
            args.add(name);
        }
        return args;
    }
}
