export { dumpKeys, valueText } from './dump.ts'
export { verifyVolume, type VerifyOptions } from './verify.ts'
