package dev.marque.keycloak.plan;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

import com.fasterxml.jackson.databind.JsonNode;

/** The test vectors that the server in Rust runs too. */
public final class Vectors {

    private static final Path ROOT = Path.of(System.getProperty("marque.vectors"));

    private Vectors() {
    }

    /** All files of one kind. */
    public static List<Path> files(String kind) {
        try (Stream<Path> files = Files.list(ROOT.resolve(kind))) {
            return files.filter(file -> file.toString().endsWith(".json")).sorted().toList();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** One vector. */
    public static JsonNode read(Path file) throws PlanRefused {
        try {
            return StrictJson.object(Files.readAllBytes(file), file.toString());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    static JsonNode display(String name) throws PlanRefused {
        return read(ROOT.resolve("display").resolve(name + ".json"));
    }

    static byte[] canonical(JsonNode value) throws PlanRefused {
        return CanonicalJson.of(value).getBytes(StandardCharsets.UTF_8);
    }

    static List<String> texts(JsonNode array) {
        List<String> texts = new ArrayList<>();
        array.forEach(each -> texts.add(each.textValue()));
        return texts;
    }
}
