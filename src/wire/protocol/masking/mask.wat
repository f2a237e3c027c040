;; Source of the bytes in vector-mask.ts. A test compares the two.
(module
  (import "" "memory" (memory 1 65536))
  ;; XORs the bytes from $at to $end, a multiple of 64 above 0, with the key. Returns 0 when all results are ASCII.
  (func (export "xor") (param $at i32) (param $end i32) (param $key i32) (result i32)
    (local $keys v128) (local $seen v128)
    (local $a v128) (local $b v128) (local $c v128) (local $d v128)
    (local.set $keys (i32x4.splat (local.get $key)))
    (loop $next
      (local.set $a (v128.xor (v128.load (local.get $at)) (local.get $keys)))
      (local.set $b (v128.xor (v128.load offset=16 (local.get $at)) (local.get $keys)))
      (local.set $c (v128.xor (v128.load offset=32 (local.get $at)) (local.get $keys)))
      (local.set $d (v128.xor (v128.load offset=48 (local.get $at)) (local.get $keys)))
      (v128.store (local.get $at) (local.get $a))
      (v128.store offset=16 (local.get $at) (local.get $b))
      (v128.store offset=32 (local.get $at) (local.get $c))
      (v128.store offset=48 (local.get $at) (local.get $d))
      (local.set $seen
        (v128.or (local.get $seen)
          (v128.or
            (v128.or (local.get $a) (local.get $b))
            (v128.or (local.get $c) (local.get $d)))))
      (br_if $next
        (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 64))) (local.get $end))))
    (i8x16.bitmask (local.get $seen))))
