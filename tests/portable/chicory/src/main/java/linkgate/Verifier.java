package linkgate;

import com.dylibso.chicory.compiler.MachineFactoryCompiler;
import com.dylibso.chicory.runtime.HostFunction;
import com.dylibso.chicory.runtime.ImportValues;
import com.dylibso.chicory.runtime.Instance;
import com.dylibso.chicory.runtime.Machine;
import com.dylibso.chicory.wasm.Parser;
import com.dylibso.chicory.wasm.WasmModule;
import com.dylibso.chicory.wasm.types.FunctionType;
import com.dylibso.chicory.wasm.types.MemoryLimits;
import com.dylibso.chicory.wasm.types.ValType;
import com.google.gson.JsonArray;
import com.google.gson.JsonNull;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.Collections;
import java.util.List;
import java.util.function.Function;

/** linkgate's core module on the JVM. It computes until it is done, or until its thread is interrupted. */
final class Verifier {
    private static final int PAGE = 1 << 16;

    private final WasmModule module;
    private final Function<Instance, Machine> machine;
    private final int pages;
    private final Signatures signatures;

    /** Who checks signatures; what it throws leaves the question undecided. */
    interface Signatures {
        /** Nothing of it: the module does the arithmetic itself. */
        Signatures NONE = (scheme, spki, message, signature) -> false;

        /** Whether the signature is certainly valid. If not, the module looks for itself. */
        boolean valid(String scheme, byte[] spki, byte[] message, byte[] signature);
    }

    Verifier(byte[] bytes, long memory, Signatures signatures) {
        this.module = Parser.parse(bytes);
        this.machine = MachineFactoryCompiler.compile(module);
        this.pages = Math.toIntExact(memory / PAGE);
        this.signatures = signatures;
        long version = instance().export("abi_version").apply()[0];
        if (version != 1) {
            throw new IllegalArgumentException("the module's interface has version " + version + ", not 1");
        }
    }

    /** Answers a request, JSON to JSON. What goes wrong is undecided, which refuses as well. */
    String verify(String request) {
        try {
            // A fresh one: nothing of one question is there for the next, and one that trapped is never asked again.
            Instance instance = instance();
            // Strictly: `getBytes` would write another character for half of one, and ask about what nobody said.
            ByteBuffer encoded = StandardCharsets.UTF_8.newEncoder().encode(CharBuffer.wrap(request));
            byte[] text = new byte[encoded.remaining()];
            encoded.get(text);
            long returned = instance.export("verify").apply(put(instance, text), text.length)[0];
            byte[] bytes = instance.memory().readBytes((int) (returned >>> 32), (int) returned);
            String answer = StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString();
            String decision = JsonParser.parseString(answer).getAsJsonObject().get("decision").getAsString();
            return List.of("accept", "reject", "undecided").contains(decision) ? answer : stopped("it gave no answer");
        } catch (CharacterCodingException cause) {
            return refused("request-malformed", "the request is not of the documented form: half a surrogate pair in a string");
        } catch (RuntimeException | StackOverflowError | OutOfMemoryError cause) {
            return stopped(cause + ", with at most " + ((long) pages * PAGE >> 20) + " MiB of memory");
        }
    }

    private Instance instance() {
        FunctionType type = FunctionType.of(Collections.nCopies(8, ValType.I32), List.of(ValType.I64));
        HostFunction check = new HostFunction("linkgate", "signatures", type, this::check);
        int least = module.memorySection().orElseThrow().getMemory(0).limits().initialPages();
        return Instance.builder(module)
                .withMachineFactory(machine)
                .withMemoryLimits(new MemoryLimits(least, pages))
                .withImportValues(ImportValues.builder().addFunction(check).build())
                .build();
    }

    private long[] check(Instance instance, long... places) {
        // Copies, which whoever checks may keep and write to.
        byte[][] parts = new byte[4][];
        for (int i = 0; i < parts.length; i++) {
            parts[i] = instance.memory().readBytes((int) places[2 * i], (int) places[2 * i + 1]);
        }
        try {
            String scheme = new String(parts[0], StandardCharsets.UTF_8);
            return new long[] {signatures.valid(scheme, parts[1], parts[2], parts[3]) ? 1 : 0};
        } catch (RuntimeException | StackOverflowError | LinkageError | AssertionError cause) {
            byte[] why = ("the host's check failed: " + cause).getBytes(StandardCharsets.UTF_8);
            return new long[] {put(instance, why) << 32 | why.length};
        }
    }

    /** Writes bytes where the module made room for them. */
    private static long put(Instance instance, byte[] bytes) {
        long place = instance.export("alloc").apply(bytes.length)[0];
        if ((int) place == 0) {
            throw new IllegalStateException("it has no room for " + bytes.length + " bytes");
        }
        instance.memory().write((int) place, bytes);
        return place;
    }

    /** The answer where the verifier gave none. */
    static String stopped(String why) {
        return refused("verifier-stopped", "the verifier was stopped: " + why);
    }

    private static String refused(String code, String message) {
        JsonObject reason = new JsonObject();
        reason.addProperty("code", code);
        reason.add("at", new JsonArray());
        reason.addProperty("message", message);
        JsonArray reasons = new JsonArray();
        reasons.add(reason);
        JsonObject answer = new JsonObject();
        answer.addProperty("decision", "undecided");
        answer.addProperty("code", code);
        answer.add("at", new JsonArray());
        answer.add("limit", JsonNull.INSTANCE);
        answer.addProperty("message", message);
        answer.add("reasons", reasons);
        answer.add("warnings", new JsonArray());
        answer.add("steps", new JsonArray());
        return answer.toString();
    }
}
