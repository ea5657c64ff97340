package dev.marque.keycloak.plan;

import java.text.Normalizer;

/**
 * Characters that a person cannot see, or that change how the others read: controls, format and bidi controls,
 * line separators, private use, and what Unicode calls default-ignorable.
 */
public final class HiddenCharacters {

    /** First and last code point of each default-ignorable range that is not of category Cf. */
    private static final int[][] IGNORABLE = {
        {0x034F, 0x034F}, {0x115F, 0x1160}, {0x17B4, 0x17B5}, {0x180B, 0x180F}, {0x2060, 0x206F}, {0x3164, 0x3164},
        {0xFE00, 0xFE0F}, {0xFFA0, 0xFFA0}, {0xFFF0, 0xFFF8}, {0xE0000, 0xE0FFF},
    };

    private HiddenCharacters() {
    }

    /** Whether the text holds one of them. */
    public static boolean in(String text) {
        return text.codePoints().anyMatch(HiddenCharacters::isHidden);
    }

    /**
     * Whether a text reads as what it is: nothing hidden, nothing that has no meaning yet, and in Unicode
     * normalization form C. Characters that are newer than this platform's Unicode are refused too.
     */
    static boolean isPlain(String text) {
        return !in(text) && text.codePoints().allMatch(Character::isDefined)
                && Normalizer.isNormalized(text, Normalizer.Form.NFC);
    }

    private static boolean isHidden(int codePoint) {
        return switch (Character.getType(codePoint)) {
            case Character.CONTROL, Character.FORMAT, Character.SURROGATE, Character.PRIVATE_USE,
                    Character.LINE_SEPARATOR, Character.PARAGRAPH_SEPARATOR -> true;
            default -> isIgnorable(codePoint);
        };
    }

    private static boolean isIgnorable(int codePoint) {
        for (int[] range : IGNORABLE) {
            if (codePoint >= range[0] && codePoint <= range[1]) {
                return true;
            }
        }
        return false;
    }
}
