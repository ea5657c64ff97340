package dev.marque.keycloak.plan;

import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;

import com.fasterxml.jackson.databind.JsonNode;

/** A resource server's own description of its actions. Its digest is over the payload octets as signed. */
record Catalog(String clientId, long version, String location, byte[] digest, Map<String, Action> actions) {

    /** One action: what it does, to which type of resource, and the sentence that says so. */
    record Action(ActionClass actionClass, boolean irreversible, String resourceType, Template template) {
    }

    static Catalog of(byte[] payload) throws PlanRefused {
        Members catalog = Members.of(StrictJson.object(payload, "a catalog"), "catalog");
        Members members = catalog.object("actions");
        Map<String, Action> actions = new HashMap<>();
        for (String name : members.names()) {
            actions.put(name, action(members.value(name), "action " + name));
        }
        return new Catalog(catalog.text("iss"), catalog.integer("version", 1), catalog.text("location"),
                Binary.sha256(payload), Map.copyOf(actions));
    }

    private static Action action(JsonNode node, String what) throws PlanRefused {
        Members action = Members.of(node, what);
        ActionClass actionClass = ActionClass.of(action.text("class"));
        Set<String> args = new HashSet<>();
        Members declared = action.object("args");
        for (String name : declared.names()) {
            type(declared.object(name).text("type"));
            args.add(name);
        }
        boolean irreversible = !action.flag("reversible") && actionClass != ActionClass.READ;
        return new Action(actionClass, irreversible, action.text("resource"),
                Template.of(action.object("display").text("en"), args));
    }

    private static void type(String type) throws PlanRefused {
        if (!Set.of("string", "integer", "boolean", "array", "object").contains(type)) {
            throw new PlanRefused("an argument of an unknown type");
        }
    }
}
