package linkgate;

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import java.io.BufferedWriter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Answers cases as a Java program does that loads the core module. */
public final class Runner {
    private record Question(String name, String request) {}

    private record Answer(String name, String answer) {}

    public static void main(String[] arguments) throws IOException {
        Map<String, String> given = new HashMap<>(Map.of("--signatures", "none", "--module", "verifier.core.wasm", "--time", "0"));
        for (int i = 0; i + 1 < arguments.length; i += 2) {
            given.put(arguments[i], arguments[i + 1]);
        }
        Verifier.Signatures signatures =
                given.get("--signatures").equals("host") ? new NativeSignatures() : Verifier.Signatures.NONE;
        long begin = System.nanoTime();
        // Just below what the native host has: an array of Java's is no larger.
        Verifier verifier = new Verifier(Files.readAllBytes(Path.of(given.get("--module"))), (2L << 30) - (64 << 10), signatures);
        long loaded = System.nanoTime() - begin;
        Gson json = new GsonBuilder().disableHtmlEscaping().create();
        List<Question> questions = Files.readAllLines(Path.of(given.get("--cases"))).stream()
                .map(line -> json.fromJson(line, Question.class))
                .toList();
        int times = Integer.parseInt(given.get("--time"));
        if (times > 0) {
            clock(verifier, questions.get(0).request(), times, loaded);
            return;
        }
        try (BufferedWriter answers = Files.newBufferedWriter(Path.of(given.get("--answers")))) {
            for (Question question : questions) {
                answers.write(json.toJson(new Answer(question.name(), verifier.verify(question.request()))));
                answers.write('\n');
            }
        }
    }

    private static void clock(Verifier verifier, String request, int times, long loaded) {
        long[] took = new long[times];
        for (int round = -3; round < times; round++) {
            long begin = System.nanoTime();
            String answer = verifier.verify(request);
            long end = System.nanoTime();
            if (answer.startsWith("{\"decision\":\"undecided\"")) {
                throw new IllegalStateException("the case is undecided: " + answer);
            }
            if (round >= 0) {
                took[round] = end - begin;
            }
        }
        Arrays.sort(took);
        System.out.printf(
                "{\"median_us\":%d,\"engine\":\"Chicory 1.7.5, Java %s\",\"load_ms\":%d}%n",
                took[times / 2] / 1000, System.getProperty("java.version"), loaded / 1_000_000);
    }
}
