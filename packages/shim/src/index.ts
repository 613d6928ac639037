export * from './block-device.ts'
export * from './codecs.ts'
