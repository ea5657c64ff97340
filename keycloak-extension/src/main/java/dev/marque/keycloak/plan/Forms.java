package dev.marque.keycloak.plan;

import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.time.DateTimeException;
import java.time.Instant;
import java.util.Set;
import java.util.regex.Pattern;

/** The forms that texts of a plan have: each check hands the text back, or refuses it. */
final class Forms {

    private static final Pattern DECIMAL = Pattern.compile("-?(0|[1-9][0-9]*)(\\.[0-9]+)?");
    private static final Pattern CURRENCY = Pattern.compile("[A-Z]{3}");
    private static final Pattern LABEL = Pattern.compile("[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?");
    private static final Pattern DIGITS = Pattern.compile("[0-9]+");
    private static final Pattern STRAY_TILDE = Pattern.compile("~(?![01])");
    private static final Set<String> NO_SEGMENTS = Set.of("", ".", "..");
    private static final int HOST_CHARS = 253;
    private static final int INSTANT_CHARS = 20;

    private Forms() {
    }

    /** A number of characters, counted as people do: by code points. */
    static int chars(String text) {
        return text.codePointCount(0, text.length());
    }

    /** A name of a step, client, action, argument: not empty, and short. */
    static String identifier(String text, String what) throws PlanRefused {
        if (text.isEmpty() || chars(text) > LanguageLimits.IDENTIFIER) {
            throw new PlanRefused(what + " is empty or too long");
        }
        return text;
    }

    /** A decimal number in plain notation: no exponent, no plus, no leading zero, no negative zero. */
    static String decimal(String text, String what) throws PlanRefused {
        String digits = text.startsWith("-") ? text.substring(1) : text;
        int point = digits.startsWith("0.") ? 2 : digits.indexOf('.') >= 0 ? 1 : 0;
        if (!DECIMAL.matcher(text).matches() || digits.length() - point > LanguageLimits.DECIMAL_DIGITS
                || text.startsWith("-") && new BigDecimal(text).signum() == 0) {
            throw new PlanRefused(what + " is not a decimal number in plain notation");
        }
        return text;
    }

    /** Refuses two decimal numbers of which the first is the greater. */
    static void ascending(String least, String greatest, String what) throws PlanRefused {
        if (new BigDecimal(least).compareTo(new BigDecimal(greatest)) > 0) {
            throw new PlanRefused(what + " has a min above its max");
        }
    }

    /** What looks like an ISO 4217 code. */
    static String currency(String text, String what) throws PlanRefused {
        if (!CURRENCY.matcher(text).matches()) {
            throw new PlanRefused(what + " is not a currency");
        }
        return text;
    }

    /** An RFC 3339 instant in UTC with whole seconds, in the one spelling that a plan uses. */
    static String instant(String text, String what) throws PlanRefused {
        try {
            if (text.length() == INSTANT_CHARS && Instant.parse(text).toString().equals(text)) {
                return text;
            }
        } catch (DateTimeException e) {
            throw new PlanRefused(what + " is not an instant");
        }
        throw new PlanRefused(what + " is not an instant in UTC with whole seconds");
    }

    /** A host name in lower-case ASCII: two labels or more, the last not of digits only. */
    static String host(String text, String what) throws PlanRefused {
        String[] labels = text.split("\\.", -1);
        boolean named = labels.length > 1 && !DIGITS.matcher(labels[labels.length - 1]).matches();
        for (String label : labels) {
            named &= LABEL.matcher(label).matches();
        }
        if (!named || text.length() > HOST_CHARS) {
            throw new PlanRefused(what + " is not a host name in lower-case ASCII");
        }
        return text;
    }

    /** A path in normal form and a final slash. */
    static String prefix(String text, String what) throws PlanRefused {
        boolean normal = text.endsWith("/");
        if (normal && text.length() > 1) {
            String path = text.substring(text.startsWith("/") ? 1 : 0, text.length() - 1);
            for (String segment : path.split("/", -1)) {
                normal &= !NO_SEGMENTS.contains(segment);
            }
            normal &= path.chars().noneMatch(c -> "\\%?#".indexOf(c) >= 0);
        }
        if (!normal) {
            throw new PlanRefused(what + " is not a path in normal form that ends in a slash");
        }
        return text;
    }

    /** A JSON pointer (RFC 6901), which may be empty. */
    static String pointer(String text, String what) throws PlanRefused {
        boolean rooted = text.isEmpty() || text.startsWith("/");
        if (!rooted || STRAY_TILDE.matcher(text).find()
                || text.getBytes(StandardCharsets.UTF_8).length > LanguageLimits.IDENTIFIER) {
            throw new PlanRefused(what + " is not a JSON pointer");
        }
        return text;
    }
}
