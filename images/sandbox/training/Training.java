// What javac is shown when the image is built, so that its classes are ready: what programs are made of.
import java.nio.file.*;
import java.util.*;
import java.util.function.*;
import java.util.stream.*;

sealed interface Shape permits Circle, Square {}
record Circle(double radius) implements Shape {}
record Square(double side) implements Shape {}

enum Color { RED, GREEN }

class Box<T extends Comparable<T>> {
    private final List<T> items = new ArrayList<>();
    void add(T item) { items.add(item); }
    Optional<T> largest() { return items.stream().max(Comparator.naturalOrder()); }
}

public class Training {
    interface Greeter { String greet(String name); }
    static int fibonacci(int n) { return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2); }
    static double area(Shape shape) {
        return switch (shape) {
            case Circle circle -> Math.PI * circle.radius() * circle.radius();
            case Square(var side) -> side * side;
        };
    }
    public static void main(String[] args) throws Exception {
        Map<String, Integer> counts = new TreeMap<>();
        for (String word : "a b a".split(" ")) counts.merge(word, 1, Integer::sum);
        Greeter greeter = name -> "Hello, " + name + "!";
        Runnable task = new Runnable() { @Override public void run() { System.out.println("run"); } };
        task.run();
        var box = new Box<Integer>();
        for (int i = 0; i < 3; i++) box.add(i * i);
        try (var lines = Files.lines(Path.of("/etc/hostname"))) {
            System.out.println(lines.map(String::trim).collect(Collectors.joining(",")));
        } catch (java.io.IOException error) {
            System.err.printf("%s %d%n", error.getMessage(), fibonacci(5));
        }
        Supplier<int[]> numbers = () -> IntStream.range(0, 5).filter(n -> n % 2 == 0).toArray();
        System.out.println(greeter.greet("é") + counts + box.largest() + Arrays.toString(numbers.get()));
        System.out.println(area(new Circle(1)) + " " + Color.valueOf("RED") + """
            text""");
        StringBuilder text = new StringBuilder();
        while (text.length() < 3) text.append('x');
        synchronized (text) { assert text.length() == 3 : "length"; }
    }
}
