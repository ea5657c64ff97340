package dev.marque.keycloak.plan;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import java.util.List;
import java.util.StringJoiner;

/**
 * The comparison words of a plan digest: four BIP-39 English words for its first 44 bits, joined by hyphens,
 * then, after a space, bytes 6 to 11 in hexadecimal.
 */
public final class PlanWords {

    private static final int WORDS = 4;
    private static final int BITS_PER_WORD = 11;
    private static final List<String> LIST = load();

    private PlanWords() {
    }

    /** The words for a digest of 32 bytes. */
    public static String of(byte[] digest) {
        StringJoiner words = new StringJoiner("-");
        for (int i = 0; i < WORDS; i++) {
            words.add(LIST.get(bits(digest, i * BITS_PER_WORD)));
        }
        return words + " " + HexFormat.of().formatHex(digest, 6, 12);
    }

    private static int bits(byte[] digest, int from) {
        int value = 0;
        for (int bit = from; bit < from + BITS_PER_WORD; bit++) {
            value = value << 1 | digest[bit / 8] >> (7 - bit % 8) & 1;
        }
        return value;
    }

    private static List<String> load() {
        try (InputStream in = PlanWords.class.getResourceAsStream("bip39-english.txt");
                BufferedReader reader = new BufferedReader(new InputStreamReader(in, StandardCharsets.US_ASCII))) {
            return reader.lines().toList();
        } catch (IOException e) {
            throw new UncheckedIOException("the word list is missing from the jar", e);
        }
    }
}
