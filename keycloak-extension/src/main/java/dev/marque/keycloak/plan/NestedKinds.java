package dev.marque.keycloak.plan;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;

import com.fasterxml.jackson.databind.JsonNode;

/** The kinds that are made of other constraints. */
final class NestedKinds {

    private final ConstraintReader reader;

    NestedKinds(ConstraintReader reader) {
        this.reader = reader;
    }

    Constraint read(String kind, Members members) throws PlanRefused {
        return switch (kind) {
            case "items" -> items(members.object(kind).only("of", "max"));
            case "obj" -> object(members.object(kind));
            case "each" -> each(members.value(kind));
            case "all" -> parts(kind, members, " and ");
            default -> parts(kind, members, " or ");
        };
    }

    private Constraint items(Members rule) throws PlanRefused {
        String max = DisplayLines.counted(rule.integer("max", 1, LanguageLimits.ITEMS), "item");
        Constraint item = reader.read(rule.value("of"), "items.of");
        return Constraint.of("items", "a list of at most " + max + ", each " + item.phrase(), List.of(item));
    }

    private Constraint each(JsonNode of) throws PlanRefused {
        Constraint item = reader.read(of, "each");
        return Constraint.of("each", "a list of ANY LENGTH, each " + item.phrase(), List.of(item),
                Constraint.Trait.UNBOUNDED);
    }

    /** The words for further members stand where their name stands in canonical order. */
    private Constraint object(Members rule) throws PlanRefused {
        Map<String, Constraint> members = reader.members(rule);
        List<String> phrases = new ArrayList<>();
        for (Map.Entry<String, Constraint> each : members.entrySet()) {
            phrases.add(each.getKey().equals(ConstraintReader.FURTHER) ? "ANY FURTHER MEMBERS (UNBOUNDED)"
                    : CanonicalJson.string(each.getKey()) + ": " + each.getValue().phrase());
        }
        return Constraint.of("obj", "an object with {" + String.join("; ", phrases) + "}", members.values());
    }

    private Constraint parts(String kind, Members members, String joint) throws PlanRefused {
        List<JsonNode> nodes = members.list(kind);
        if (nodes.size() < 2 || nodes.size() > LanguageLimits.BRANCHES) {
            throw new PlanRefused(kind + " has fewer than two parts, or more than anybody keeps apart");
        }
        List<Constraint> parts = new ArrayList<>();
        for (JsonNode node : nodes) {
            parts.add(reader.read(node, kind));
        }
        return Constraint.of(kind, ConstraintReader.joined(parts, joint), parts);
    }
}
