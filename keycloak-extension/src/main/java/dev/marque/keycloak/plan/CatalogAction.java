package dev.marque.keycloak.plan;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

import com.fasterxml.jackson.databind.JsonNode;

/**
 * One action of a catalog: what it does, to which type of resource, and the sentence that says so.
 *
 * @param args whether each argument may be bound to a value that is known only after earlier steps
 */
record CatalogAction(ActionClass actionClass, boolean irreversible, String resourceType, Map<String, Boolean> args,
                     List<Prerequisite> requires, Template template) {

    private static final Set<String> ARGUMENT_TYPES = Set.of("string", "integer", "number", "boolean", "array",
            "object");
    private static final Set<String> STAKES = Set.of("money", "identity", "egress", "access");
    private static final Set<String> RESULT_TYPES = Set.of("text", "string", "integer", "number", "boolean", "array",
            "object");
    static final Set<String> SOURCES = Set.of("authoritative", "third_party");

    private static final String UNEXPLAINED = "CANNOT BE EXPLAINED: no catalog describes what it does";

    /** A read that has to be done before, with the names of the arguments that it binds. */
    record Prerequisite(String action, String resourceType, Set<String> args) {
    }

    /** What is taken for granted of an action that no catalog describes: the gravest. */
    static CatalogAction unexplained(String resourceType, Set<String> names) throws PlanRefused {
        Map<String, Boolean> args = new HashMap<>();
        names.forEach(name -> args.put(name, true));
        return new CatalogAction(ActionClass.GRANT, true, resourceType, args, List.of(),
                Template.of(UNEXPLAINED, Set.of()));
    }

    static CatalogAction of(JsonNode node, String what) throws PlanRefused {
        Members action = Members.of(node, what).only("class", "reversible", "resource", "args", "results", "requires",
                "display");
        ActionClass actionClass = ActionClass.of(action.text("class"));
        String resourceType = action.identifier("resource");
        Map<String, Boolean> args = args(action);
        checkResults(action);
        boolean irreversible = !action.flag("reversible") && actionClass != ActionClass.READ;
        return new CatalogAction(actionClass, irreversible, resourceType, args, requires(action, resourceType),
                Template.of(action.object("display").text(DisplayLines.LOCALE), args.keySet()));
    }

    /** Whether an argument may be bound so. */
    boolean describes(String name, Constraint constraint) {
        if (name.equals(ConstraintReader.FURTHER)) {
            return true;
        }
        return args.containsKey(name) && (args.get(name) || !constraint.needsHistory());
    }

    private static Map<String, Boolean> args(Members action) throws PlanRefused {
        Map<String, Boolean> args = new HashMap<>();
        if (!action.has("args")) {
            return args;
        }
        Members declared = action.object("args");
        for (String name : declared.names()) {
            Members arg = declared.object(name).only("type", "sensitive", "late");
            arg.oneOf("type", ARGUMENT_TYPES);
            if (arg.has("sensitive")) {
                arg.oneOf("sensitive", STAKES);
            }
            if (name.equals(ConstraintReader.FURTHER)) {
                throw new PlanRefused("a catalog names an argument that stands for all further ones");
            }
            args.put(Forms.identifier(name, "the name of an argument"), !arg.has("late") || arg.flag("late"));
        }
        return args;
    }

    private static void checkResults(Members action) throws PlanRefused {
        if (!action.has("results")) {
            return;
        }
        Members results = action.object("results");
        for (String field : results.names()) {
            Field.of(field, "a field of a result");
            Members result = results.object(field).only("type", "source");
            result.oneOf("type", RESULT_TYPES);
            result.oneOf("source", SOURCES);
        }
    }

    /** A catalog knows no steps, so nothing in what it requires depends on one. */
    private static List<Prerequisite> requires(Members action, String resourceType) throws PlanRefused {
        List<Prerequisite> requires = new ArrayList<>();
        for (JsonNode node : action.has("requires") ? action.list("requires") : List.<JsonNode>of()) {
            Members required = Members.of(node, "prerequisite").only("action", "resource", "args");
            String type = resourceType;
            if (required.has("resource")) {
                Members resource = required.object("resource").only("type", "id");
                type = resource.identifier("type");
                Constraint.ofResourceId(resource.value("id"), "prerequisite", new KnownSteps());
            }
            Set<String> args = required.has("args")
                    ? ConstraintReader.arguments(required.object("args"), new KnownSteps()).keySet() : Set.of();
            requires.add(new Prerequisite(required.identifier("action"), type, args));
        }
        return requires;
    }
}
