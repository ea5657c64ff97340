package dev.marque.keycloak.plan;

/** Characters that a person cannot see, or that change the order in which a person reads the others. */
public final class HiddenCharacters {

    /** First and last code point of each refused range: controls, bidi controls, zero-width, tags. */
    private static final int[][] RANGES = {
        {0x0000, 0x001F}, {0x007F, 0x009F}, {0x00AD, 0x00AD}, {0x061C, 0x061C}, {0x180E, 0x180E}, {0x200B, 0x200F},
        {0x2028, 0x202E}, {0x2060, 0x206F}, {0xD800, 0xDFFF}, {0xFEFF, 0xFEFF}, {0xFFF9, 0xFFFB}, {0xE0000, 0xE007F},
    };

    private HiddenCharacters() {
    }

    /** Whether the text holds one of them. */
    public static boolean in(String text) {
        return text.codePoints().anyMatch(HiddenCharacters::isHidden);
    }

    private static boolean isHidden(int codePoint) {
        for (int[] range : RANGES) {
            if (codePoint >= range[0] && codePoint <= range[1]) {
                return true;
            }
        }
        return false;
    }
}
