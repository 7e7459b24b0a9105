// The root certificate key of the fake service. It is fixed so that trust.mjs and the service agree without talking to
// each other; it protects nothing and appears nowhere but in tests.

export const ROOT_SERIAL = 0;
export const ROOT_PRIVATE = Buffer.from('202e7c047a23b5eff852381bf5bbad9e022cab6d15588aa14b6af20ca2c23053', 'hex');
export const ROOT_PUBLIC = Buffer.from('d86c99d6818877f4dc452d60f00f5c8a2c09f5ee211d51b884fdb673200a9f12', 'hex');
