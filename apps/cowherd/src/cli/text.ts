/**
 * Text for people: names as a terminal may show them, and the columns that ls and stat print.
 *
 * Names come from a volume and are bytes: on a terminal, what isn't printable is shown as `\ooo`, so that no name can
 * move the cursor or change colours; in a pipe names go out as they are.
 */

const decoder = new TextDecoder('utf-8', { fatal: true })
// control characters, separators that break lines, and characters that reorder text
const UNPRINTABLE = /[\p{Cc}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/u

/** The name as text, or undefined if it isn't UTF-8. */
export function utf8(name: Uint8Array): string | undefined {
  try {
    return decoder.decode(name)
  } catch {
    return undefined
  }
}

/** The name as a terminal may show it. */
export function printable(name: Uint8Array | string): string {
  if (typeof name === 'string') return UNPRINTABLE.test(name) ? printable(new TextEncoder().encode(name)) : name
  const whole = utf8(name)
  if (whole !== undefined && !UNPRINTABLE.test(whole)) return whole
  let text = ''
  for (let at = 0; at < name.length;) {
    const length = characterLength(name, at)
    const character = length === 0 ? undefined : utf8(name.subarray(at, at + length))
    if (character !== undefined && !UNPRINTABLE.test(character)) {
      text += character
      at += length
      continue
    }
    for (let end = at + Math.max(length, 1); at < end; at++) {
      text += `\\${(name[at] ?? 0).toString(8).padStart(3, '0')}`
    }
  }
  return text
}

/** Length of the UTF-8 character at `at`, 0 if there is none. */
function characterLength(bytes: Uint8Array, at: number): number {
  const first = bytes[at] ?? 0
  const length = first < 0x80 ? 1 : first < 0xc0 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf8 ? 4 : 0
  return length !== 0 && utf8(bytes.subarray(at, at + length)) !== undefined ? length : 0
}

/** `-rwxr-sr-t` from a mode with its type bits. */
export function modeText(mode: number): string {
  const bits = (shift: number, special: number, letter: string): string => {
    const r = (mode >> (shift + 2)) & 1 ? 'r' : '-'
    const w = (mode >> (shift + 1)) & 1 ? 'w' : '-'
    const x = (mode >> shift) & 1
    if ((mode & special) === 0) return r + w + (x ? 'x' : '-')
    return r + w + (x ? letter : letter.toUpperCase())
  }
  const type = TYPE_LETTERS[(mode >> 12) & 15] ?? '?'
  return type + bits(6, 0o4000, 's') + bits(3, 0o2000, 's') + bits(0, 0o1000, 't')
}

const TYPE_LETTERS: Readonly<Record<number, string>> = { 1: 'p', 2: 'c', 4: 'd', 6: 'b', 8: '-', 10: 'l', 12: 's' }

/** What kind of file a mode is of, in words. */
export function typeText(mode: number): string {
  return TYPE_WORDS[(mode >> 12) & 15] ?? 'unknown'
}

const TYPE_WORDS: Readonly<Record<number, string>> = {
  1: 'fifo',
  2: 'character device',
  4: 'directory',
  6: 'block device',
  8: 'regular file',
  10: 'symbolic link',
  12: 'socket',
}

/** `2024-01-31 12:34` in local time. */
export function minuteText(seconds: number): string {
  const date = new Date(seconds * 1000)
  if (Number.isNaN(date.getTime())) return `${seconds} s` // beyond all dates: damaged or hostile
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${two(date.getHours())}:${two(date.getMinutes())}`
}

/** `2024-01-31 12:34:56.123456789 +0100` in local time. `nanoseconds` are those of the second. */
export function nanosecondText(seconds: number, nanoseconds: number): string {
  const date = new Date(seconds * 1000)
  if (Number.isNaN(date.getTime())) return minuteText(seconds)
  const offset = -date.getTimezoneOffset()
  const zone = `${offset < 0 ? '-' : '+'}${two(Math.floor(Math.abs(offset) / 60))}${two(Math.abs(offset) % 60)}`
  return `${minuteText(seconds)}:${two(date.getSeconds())}.${nanoseconds.toString().padStart(9, '0')} ${zone}`
}

function two(number: number): string {
  return number.toString().padStart(2, '0')
}

/** `1.5 GiB`: for people, three digits. */
export function sizeText(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB']
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit++
  }
  const digits = unit === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2
  return `${value.toFixed(digits)} ${units[unit] ?? ''}`
}
