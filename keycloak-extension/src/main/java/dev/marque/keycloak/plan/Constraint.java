package dev.marque.keycloak.plan;

import java.util.Collection;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;

import com.fasterxml.jackson.databind.JsonNode;

/**
 * What a value is bound to.
 *
 * @param kind the registered name of its kind
 * @param phrase the words that a person reads for it
 * @param traits what is true of it or of a part of it
 */
record Constraint(String kind, String phrase, Set<Trait> traits) {

    /** What the rest of the plan asks about a constraint. */
    enum Trait {
        /** Something in it has no bound. */
        UNBOUNDED,
        /** It takes something from an earlier step. */
        LATE,
        /** It is computed, if only from itself; no part passes this on. */
        COMPUTED,
        /** The resource server looks something up for it. */
        LOOKED_UP
    }

    /** Kinds that give one value to compute with. */
    private static final Set<String> ONE_VALUE = Set.of("const", "ref", "same_as", "compute");

    /** A constraint without parts. */
    static Constraint of(String kind, String phrase, Trait... own) {
        return of(kind, phrase, List.of(), own);
    }

    /** A constraint that has the traits of its parts and its own. */
    static Constraint of(String kind, String phrase, Collection<Constraint> parts, Trait... own) {
        Set<Trait> traits = EnumSet.noneOf(Trait.class);
        parts.forEach(part -> traits.addAll(part.traits()));
        traits.remove(Trait.COMPUTED);
        traits.addAll(List.of(own));
        return new Constraint(kind, phrase, traits);
    }

    /** A resource's id is one exact text or a constraint. */
    static Constraint ofResourceId(JsonNode id, String what, KnownSteps earlier) throws PlanRefused {
        if (id.isTextual()) {
            return of("const", CanonicalJson.string(Forms.identifier(id.textValue(), what)));
        }
        return new ConstraintReader(earlier).read(id, what);
    }

    /** The words within a sentence: in parentheses, unless it is one value, so that it is clear where they end. */
    String phraseWithin() {
        return kind.equals("const") || kind.equals("any") ? phrase : "(" + phrase + ")";
    }

    /** Whether the page makes it stand out. */
    boolean unbounded() {
        return traits.contains(Trait.UNBOUNDED);
    }

    /** Whether its value depends on what happened before the call. */
    boolean needsHistory() {
        return traits.contains(Trait.LATE);
    }

    /** Whether a row or a record alone tells if it holds. */
    boolean isOfRowAlone() {
        return !needsHistory() && !traits.contains(Trait.COMPUTED) && !traits.contains(Trait.LOOKED_UP);
    }

    boolean givesOneValue() {
        return ONE_VALUE.contains(kind);
    }
}
