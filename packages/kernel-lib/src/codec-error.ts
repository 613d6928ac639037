/** A decoder was given bytes that it can't decode: damaged, cut short, or not what was announced. */
export class CodecError extends Error {
  override readonly name = 'CodecError'
}
