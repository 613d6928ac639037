export { cut, promises } from './cut.ts'
export { Image } from './image.ts'
export { Recording, withoutFlushes, type Command, type Recorded } from './recording.ts'
