/** `rdq/adaptive`: lets the width of a queue find itself. */
export { type Adaptation, type AdaptOptions, adapt } from './adapt.ts'
export { type ClassifiedRun, classifyByDefault, type Outcome } from './classify.ts'
