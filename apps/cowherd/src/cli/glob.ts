/** Shell patterns for names: `*`, `?`, `[a-z]`, `[!a-z]`, and a backslash before what is meant as it stands. glob(7). */

/** The pattern as a regular expression for whole names. */
export function globPattern(pattern: string, { ignoreCase = false } = {}): RegExp {
  let source = ''
  const characters = [...pattern]
  for (let at = 0; at < characters.length; at++) {
    const character = characters[at] ?? ''
    if (character === '*') {
      while (characters[at + 1] === '*') at++
      source += '[^]*'
    } else if (character === '?') {
      source += '[^]'
    } else if (character === '[') {
      const end = classEnd(characters, at)
      source += end < 0 ? '\\[' : classSource(characters.slice(at + 1, end))
      if (end >= 0) at = end
    } else if (character === '\\' && at + 1 < characters.length) {
      source += escaped(characters[++at] ?? '')
    } else {
      source += escaped(character)
    }
  }
  return new RegExp(`^${source}$`, ignoreCase ? 'iu' : 'u')
}

/** Index of the bracket that closes the class opened at `at`, -1 if none does. */
function classEnd(characters: readonly string[], at: number): number {
  const first = characters[at + 1] === '!' || characters[at + 1] === '^' ? at + 2 : at + 1
  return characters.indexOf(']', first + 1) // a bracket that comes first stands for itself
}

function classSource(inside: readonly string[]): string {
  const isNegated = inside[0] === '!' || inside[0] === '^'
  const members = (isNegated ? inside.slice(1) : inside).map((character, i, all) =>
    character === '-' && i > 0 && i < all.length - 1 ? '-' : escaped(character),
  )
  return `[${isNegated ? '^' : ''}${members.join('')}]`
}

function escaped(character: string): string {
  return /[\\^$.*+?()[\]{}|/-]/.test(character) ? `\\${character}` : character
}
