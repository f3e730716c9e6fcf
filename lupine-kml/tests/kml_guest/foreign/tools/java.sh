# Threads, collections of garbage, a server and its clients, children and files of the JVM, and its compiler.
cat > Main.java <<'JAVA'
import java.io.*;
import java.net.*;
import java.nio.channels.*;
import java.nio.file.*;
import java.util.*;
import java.util.concurrent.*;
import java.util.concurrent.atomic.*;

public class Main {
	public static void main(String[] arguments) throws Exception {
		threads();
		garbage();
		server();
		children();
		files();
		faults(null);
	}

	static void threads() throws Exception {
		for (int round = 0; round < 20; round++) {
			AtomicInteger sum = new AtomicInteger();
			Thread[] all = new Thread[20];
			for (int i = 0; i < all.length; i++) {
				int n = i;
				(all[i] = new Thread(() -> sum.addAndGet(n))).start();
			}
			for (Thread thread : all) thread.join();
			if (sum.get() != 190) System.out.println("a thread is missing: " + sum);
		}
		ExecutorService pool = Executors.newFixedThreadPool(4);
		List<Future<Long>> results = new ArrayList<>();
		for (int i = 1; i <= 8; i++) {
			long n = i * 10000L;
			results.add(pool.submit(() -> { long s = 0; for (long k = 0; k < n; k++) s += k * k % 7; return s; }));
		}
		for (Future<Long> result : results) System.out.print(result.get() + " ");
		pool.shutdown();
		Thread sleeper = new Thread(() -> {
			try { Thread.sleep(600000); } catch (InterruptedException e) { System.out.println("interrupted"); }
		});
		sleeper.start();
		sleeper.interrupt();
		sleeper.join();
	}

	static void garbage() {
		Object[] kept = new Object[64];
		long bytes = 0;
		for (int i = 0; i < 20000; i++) {
			byte[] fresh = new byte[1 + i % 4096];
			kept[i % kept.length] = fresh;
			bytes += fresh.length;
		}
		System.gc();
		System.out.println(bytes);
	}

	static void server() throws Exception {
		try (ServerSocket server = new ServerSocket(0, 50, InetAddress.getLoopbackAddress())) {
			Thread serving = new Thread(() -> {
				try {
					for (int i = 0; i < 30; i++) try (Socket socket = server.accept()) {
						String line = new BufferedReader(new InputStreamReader(socket.getInputStream())).readLine();
						socket.getOutputStream().write(("you said " + line + "\n").getBytes());
					}
				} catch (IOException e) { System.out.println(e); }
			});
			serving.start();
			String said = "";
			for (int i = 0; i < 30; i++) try (Socket socket = new Socket(server.getInetAddress(), server.getLocalPort())) {
				socket.getOutputStream().write((i + "\n").getBytes());
				said = new BufferedReader(new InputStreamReader(socket.getInputStream())).readLine();
			}
			serving.join();
			System.out.println(said);
		}
	}

	static void children() throws Exception {
		Process child = new ProcessBuilder("sh", "-c", "read x; echo \"$x back\"; exit 3").start();
		child.getOutputStream().write("there and\n".getBytes());
		child.getOutputStream().close();
		System.out.println(new String(child.getInputStream().readAllBytes()).trim() + " " + child.waitFor());
		Process killed = new ProcessBuilder("sleep", "60").start();
		killed.destroy();
		System.out.println(killed.waitFor());
	}

	static void files() throws Exception {
		Path path = Path.of("file");
		Files.writeString(path, "x".repeat(100000));
		try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
			var mapped = channel.map(FileChannel.MapMode.READ_WRITE, 0, channel.size());
			mapped.put(5000, (byte) 'y');
			mapped.force();
		}
		System.out.println(Files.size(path) + " " + Files.readString(path).indexOf('y'));
		Files.move(path, Path.of("moved"));
		try (var names = Files.list(Path.of("."))) {
			System.out.println(names.map(Path::toString).sorted().toList());
		}
	}

	// Its null pointers and the depth of its stack are signals of the machine.
	static void faults(String nothing) {
		int caught = 0;
		for (int i = 0; i < 20000; i++) try { nothing.length(); } catch (NullPointerException e) { caught++; }
		try { deeper(0); } catch (StackOverflowError e) { caught++; }
		System.out.println(caught);
	}

	static int deeper(int n) { return deeper(n + 1) + n; }
}
JAVA
javac Main.java; echo "compiled $?"
java Main; echo "ended $?"
rm moved
java -XX:+UseParallelGC -XX:ParallelGCThreads=4 -Xmx64m Main > other; echo "ended $?"
md5sum < other
rm moved
java -Xint Main | md5sum
