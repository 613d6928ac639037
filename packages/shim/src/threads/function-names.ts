/**
 * Names of functions in shared memory. A function itself can't be handed to another thread: what is handed over is the number of
 * its name, and each thread brings the function that it calls by that name.
 */

/** Words for a list of names; the first one is how many bytes of JSON follow. */
export function wordsForNames(names: readonly string[]): number {
  return 1 + Math.ceil(encoded(names).length / 4)
}

/** Writes the names at word `at`, before anybody else sees the memory. */
export function writeNames(words: Int32Array, at: number, names: readonly string[]): void {
  const bytes = encoded(names)
  words[at] = bytes.length
  new Uint8Array(words.buffer, words.byteOffset + 4 * (at + 1), bytes.length).set(bytes)
}

/** The names written at word `at`. */
export function readNames(words: Int32Array, at: number): readonly string[] {
  const bytes = new Uint8Array(words.buffer, words.byteOffset + 4 * (at + 1), words[at])
  const names: unknown = JSON.parse(new TextDecoder().decode(bytes.slice()))
  if (!Array.isArray(names)) throw new TypeError('no names there')
  return names.map(String)
}

/** The functions in the order of their names. Throws RangeError if one is missing or has no name there. */
export function functionsByNumber<F>(names: readonly string[], functions: Readonly<Record<string, F>>): readonly F[] {
  const stranger = Object.keys(functions).find((name) => !names.includes(name))
  if (stranger !== undefined) throw new RangeError(`there is no function ${stranger}, only ${names.join(', ')}`)
  return names.map((name) => {
    const found = functions[name]
    if (found === undefined) throw new RangeError(`the function ${name} is missing`)
    return found
  })
}

/** The number of a name. Throws RangeError if it isn't there. */
export function numberOf(names: readonly string[], name: string | number): number {
  const number = typeof name === 'number' ? name : names.indexOf(name)
  if (names[number] === undefined) throw new RangeError(`there is no function ${name}, only ${names.join(', ')}`)
  return number
}

function encoded(names: readonly string[]): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(names))
}
