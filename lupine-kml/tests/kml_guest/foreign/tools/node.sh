# A server, its clients, worker threads, children and files of Node.js.
node -e '
const { Worker } = require("worker_threads"), http = require("http"), fs = require("fs"), os = require("os")
const { execFileSync, spawn } = require("child_process"), crypto = require("crypto"), zlib = require("zlib")
const work = n => new Promise(done => new Worker("require(\"worker_threads\").parentPort.postMessage([..." + "Array(" + n + ").keys()].reduce((a, b) => a + b, 0))", { eval: true }).on("message", done))
const get = port => new Promise(done => http.get({ host: "127.0.0.1", port, path: "/x" }, r => { let t = ""; r.on("data", d => t += d); r.on("end", () => done(t)) }))
;(async () => {
	console.log(await Promise.all([10, 1000, 100000].map(work)))
	const server = http.createServer((q, a) => a.end("you asked for " + q.url)).listen(0, "127.0.0.1")
	await new Promise(r => server.on("listening", r))
	for (let i = 0; i < 20; i++) await get(server.address().port)
	console.log(await get(server.address().port)); server.close()
	console.log(execFileSync("sh", ["-c", "echo $0; exit 0", "child"]).toString().trim())
	const child = spawn("sleep", ["60"]); child.kill(); console.log(await new Promise(r => child.on("exit", (c, s) => r(s))))
	fs.writeFileSync("file", "x".repeat(100000)); console.log(fs.statSync("file").size)
	console.log(crypto.createHash("sha256").update(zlib.gunzipSync(zlib.gzipSync(fs.readFileSync("file")))).digest("hex").slice(0, 16))
	await new Promise(r => fs.promises.rename("file", "moved").then(r)); console.log(fs.readdirSync("."))
	process.exit(0)
})()'
