package dev.marque.keycloak.plan;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

import com.fasterxml.jackson.databind.JsonNode;

/** Reads one constraint with all its parts and counts them: what a person cannot take in is refused. */
final class ConstraintReader {

    /** The name that stands for all further arguments or members. */
    static final String FURTHER = "*";

    private final KnownSteps earlier;
    private int depth;
    private int parts;

    /** @param earlier the steps from which values may be taken */
    ConstraintReader(KnownSteps earlier) {
        this.earlier = earlier;
    }

    /** The arguments of a step, in canonical order. */
    static Map<String, Constraint> arguments(Members members, KnownSteps earlier) throws PlanRefused {
        Map<String, Constraint> arguments = new LinkedHashMap<>();
        for (String name : names(members)) {
            JsonNode node = members.value(name);
            boolean mayBeAbsent = node.isObject() && node.size() == 1 && node.has("optional");
            ConstraintReader reader = new ConstraintReader(earlier);
            Constraint bound = reader.read(mayBeAbsent ? node.get("optional") : node, "argument " + name);
            arguments.put(name, further(name, mayBeAbsent ? absentOr(bound) : bound));
        }
        return arguments;
    }

    /** A constraint on a value that has to be there. */
    Constraint read(JsonNode node, String what) throws PlanRefused {
        return read(node, what, false);
    }

    /** The members of an object, each of which may be allowed to be absent, in canonical order. */
    Map<String, Constraint> members(Members object) throws PlanRefused {
        Map<String, Constraint> members = new LinkedHashMap<>();
        for (String name : names(object)) {
            members.put(name, further(name, read(object.value(name), "member " + name, true)));
        }
        return members;
    }

    /** Constraints by a name of any form, in canonical order. */
    Map<String, Constraint> named(Members object) throws PlanRefused {
        Map<String, Constraint> named = new LinkedHashMap<>();
        for (String name : object.names()) {
            named.put(name, read(object.value(name), "part " + name));
        }
        return named;
    }

    /** Constraints on the values at some places of a row or a record, which nothing else decides. */
    Map<String, Constraint> row(Members object) throws PlanRefused {
        Map<String, Constraint> row = named(object);
        for (Map.Entry<String, Constraint> each : row.entrySet()) {
            Forms.pointer(each.getKey(), "a place in a row");
            if (!each.getValue().isOfRowAlone()) {
                throw new PlanRefused("a row is chosen by more than the row itself");
            }
        }
        if (row.size() > LanguageLimits.BRANCHES) {
            throw new PlanRefused("a row is chosen by too many places");
        }
        return row;
    }

    /** Names and what binds them; empty if there are none. */
    static String given(Map<String, Constraint> named) throws PlanRefused {
        List<String> phrases = new ArrayList<>();
        for (Map.Entry<String, Constraint> each : named.entrySet()) {
            phrases.add(CanonicalJson.string(each.getKey()) + ": " + each.getValue().phrase());
        }
        return phrases.isEmpty() ? "" : " where {" + String.join("; ", phrases) + "}";
    }

    /** The parts of a conjunction or a disjunction. */
    static String joined(List<Constraint> parts, String joint) {
        return parts.stream().map(part -> "(" + part.phrase() + ")").collect(Collectors.joining(joint));
    }

    private Constraint read(JsonNode node, String what, boolean mayBeAbsent) throws PlanRefused {
        Members members = Members.of(node, what);
        if (members.names().size() != 1) {
            throw new PlanRefused(what + " is not exactly one constraint");
        }
        if (++depth > LanguageLimits.CONSTRAINT_DEPTH || ++parts > LanguageLimits.CONSTRAINT_PARTS) {
            throw new PlanRefused(what + " has more levels or parts than anybody reads");
        }
        String kind = members.names().get(0);
        Constraint constraint = mayBeAbsent && kind.equals("optional")
                ? absentOr(read(members.value(kind), what)) : kind(kind, members);
        depth--;
        return constraint;
    }

    private Constraint kind(String kind, Members members) throws PlanRefused {
        return switch (kind) {
            case "const", "one_of", "text", "pattern", "num", "amount", "time_window", "domain", "prefix", "any" ->
                ValueKinds.read(kind, members);
            case "items", "obj", "each", "all", "either" -> new NestedKinds(this).read(kind, members);
            case "ref", "ref_set", "same_as", "extract", "quote" -> new LateKinds(this, earlier).read(kind, members);
            case "fmt", "compute", "rel", "attr" -> new DerivedKinds(this).read(kind, members);
            default -> throw new PlanRefused("a constraint of the unknown kind " + CanonicalJson.string(kind));
        };
    }

    private static List<String> names(Members members) throws PlanRefused {
        List<String> names = members.names();
        if (names.size() > LanguageLimits.ARGUMENTS) {
            throw new PlanRefused("more arguments or members than anybody reads");
        }
        for (String name : names) {
            Forms.identifier(name, "the name of an argument");
        }
        return names;
    }

    private static Constraint further(String name, Constraint constraint) throws PlanRefused {
        if (name.equals(FURTHER) && !constraint.kind().equals("any")) {
            throw new PlanRefused("further arguments or members cannot be constrained");
        }
        return constraint;
    }

    private static Constraint absentOr(Constraint constraint) {
        return Constraint.of("optional", "absent, or " + constraint.phrase(), List.of(constraint));
    }
}
