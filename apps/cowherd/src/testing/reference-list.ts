/** The output of the real `bcachefs list` in a form in which it compares with ours: what is no key is taken out. */

/** What the tool says of its own doings, between the keys or behind them. */
const CHATTER = [
  /^starting version /,
  /^recovering from (clean|unclean) shutdown/,
  /^journal read done, replaying entries /,
  /^\w+\.\.\. ?done$/,
  /^going read-write$/,
  /^(un)?shutdown complete/,
  /^Enter passphrase:/,
]

/** The lines of a listing, ours or the tool's. The tool prints an address instead of the bytes of inline data. */
export function listedLines(output: string): string[] {
  return output
    .split('\n')
    .filter((line) => line !== '' && !CHATTER.some((pattern) => pattern.test(line)))
    .map((line) => line.replace(/(datalen \d+:).*/, '$1').replace(/^ +(?=offset \d+ version)/, ''))
}
