const LIMIT_MS = 50_000

/** Blocks this thread until `condition` holds. Throws after a time in which it does on any machine. */
export function blockUntil(condition: () => boolean): void {
  const nobody = new Int32Array(new SharedArrayBuffer(4))
  const begun = performance.now()
  while (!condition()) {
    if (performance.now() - begun > LIMIT_MS) throw new Error(`not within ${LIMIT_MS} ms: ${String(condition)}`)
    Atomics.wait(nobody, 0, 0, 1)
  }
}
