/** Sizes, uuids and bytes in the forms that the reference tools print, so that outputs compare. */

const SIZE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB']

/** A size in powers of 1024 with three significant digits: `0 B`, `512 B`, `4.00 KiB`, `64.0 KiB`, `128 KiB`. */
export function humanSize(bytes: number): string {
  let unit = 0
  let value = bytes
  while (value >= 1024 && unit < SIZE_UNITS.length - 1) {
    value /= 1024
    unit++
  }
  if (unit === 0) return `${value} B`
  const digits = value < 10 ? 2 : value < 100 ? 1 : 0
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
