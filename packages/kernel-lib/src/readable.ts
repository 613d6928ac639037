/** Sizes, uuids and bytes in the forms that the reference tools print, so that outputs compare. */

const SIZE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB']

/** A size in powers of 1024 with three significant digits: `0 B`, `1.00 B`, `512 B`, `4.00 KiB`, `64.0 KiB`, `128 KiB`. */
export function humanSize(bytes: number): string {
  let unit = 0
  let value = bytes
  while (value >= 1024 && unit < SIZE_UNITS.length - 1) {
    value /= 1024
    unit++
  }
  const digits = value === 0 || value >= 100 ? 0 : value < 10 ? 2 : 1
  return `${value.toFixed(digits)} ${SIZE_UNITS[unit]}`
}

/** A uuid from its 16 bytes in the usual form, `2150f56c-4e4c-452d-8faa-74ee4bf1732e`. */
export function uuidText(uuid: Uint8Array): string {
  const hex = hexText(uuid)
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
}

/** Bytes as lower case hexadecimal digits. */
export function hexText(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** `text` padded to `width` columns, with one space at least: the first column of a table. */
export function column(text: string, width: number): string {
  return text.length < width ? text.padEnd(width) : `${text} `
}

const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat']
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

/** Seconds since 1970 as local time in the form of ctime(3), `Sun Nov 22 14:22:26 2026`. */
export function localTimeText(seconds: bigint): string {
  const date = new Date(Number(seconds) * 1000)
  if (Number.isNaN(date.getTime())) return '(invalid date)'
  const two = (value: number) => String(value).padStart(2, '0')
  const time = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(':')
  const day = String(date.getDate()).padStart(2)
  return `${DAYS[date.getDay()]} ${MONTHS[date.getMonth()]} ${day} ${time} ${date.getFullYear()}`
}

/** `text` without control characters, so that names from a hostile volume can't steer a terminal: `\x1b` for escape. */
export function visibleText(text: string): string {
  // eslint-disable-next-line no-control-regex -- control characters are what it looks for
  return text.replace(/[\x00-\x1f\x7f-\x9f]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`)
}
