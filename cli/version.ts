/** Version of this program. A test keeps it and package.json in step. */
export const version = '0.1.0'
