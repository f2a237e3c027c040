;; Source of the bytes in vectors.ts. A test compares the two.
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
    (i8x16.bitmask (local.get $seen)))
  ;; Reads the frames from $at to $end, as long as they are whole, masked, uncompressed messages of at most 125 bytes, and
  ;; their texts ASCII. Writes them without a mask to $out, one behind the other. Writes nothing behind the last of them but
  ;; a part of the frame that it stopped at. Returns the number of bytes that were read, times 512, plus the number of
  ;; frames, of which there are at most $most.
  (func (export "frames") (param $at i32) (param $end i32) (param $out i32) (param $most i32) (result i32)
    (local $begin i32) (local $count i32) (local $first i32) (local $length i32) (local $from i32) (local $last i32) (local $to i32)
    (local $key i32) (local $keys v128) (local $four i32) (local $seen i32) (local $seenVector v128) (local $vector v128)
    (local.set $begin (local.get $at))
    (block $done
      (loop $next
        (br_if $done (i32.gt_u (i32.add (local.get $at) (i32.const 6)) (local.get $end)))
        (local.set $first (i32.load8_u (local.get $at)))
        (br_if $done (i32.gt_u (i32.sub (local.get $first) (i32.const 0x81)) (i32.const 1)))
        (local.set $length (i32.sub (i32.load8_u offset=1 (local.get $at)) (i32.const 0x80)))
        (br_if $done (i32.gt_u (local.get $length) (i32.const 125)))
        (local.set $from (i32.add (local.get $at) (i32.const 6)))
        (local.set $last (i32.add (local.get $from) (local.get $length)))
        (br_if $done (i32.gt_u (local.get $last) (local.get $end)))
        (local.set $key (i32.load offset=2 (local.get $at)))
        (i32.store8 (local.get $out) (local.get $first))
        (i32.store8 offset=1 (local.get $out) (local.get $length))
        (local.set $to (i32.add (local.get $out) (i32.const 2)))
        (local.set $keys (i32x4.splat (local.get $key)))
        (local.set $seenVector (v128.const i32x4 0 0 0 0))
        (block $noVector
          (loop $vectors
            (br_if $noVector (i32.gt_u (i32.add (local.get $from) (i32.const 16)) (local.get $last)))
            (local.set $vector (v128.xor (v128.load (local.get $from)) (local.get $keys)))
            (v128.store (local.get $to) (local.get $vector))
            (local.set $seenVector (v128.or (local.get $seenVector) (local.get $vector)))
            (local.set $from (i32.add (local.get $from) (i32.const 16)))
            (local.set $to (i32.add (local.get $to) (i32.const 16)))
            (br $vectors)))
        (local.set $seen (i8x16.bitmask (local.get $seenVector)))
        (block $noFour
          (loop $fours
            (br_if $noFour (i32.gt_u (i32.add (local.get $from) (i32.const 4)) (local.get $last)))
            (local.set $four (i32.xor (i32.load (local.get $from)) (local.get $key)))
            (i32.store (local.get $to) (local.get $four))
            (local.set $seen (i32.or (local.get $seen) (i32.and (local.get $four) (i32.const 0x80808080))))
            (local.set $from (i32.add (local.get $from) (i32.const 4)))
            (local.set $to (i32.add (local.get $to) (i32.const 4)))
            (br $fours)))
        (block $noByte
          (loop $bytes
            (br_if $noByte (i32.ge_u (local.get $from) (local.get $last)))
            (local.set $four (i32.xor (i32.load8_u (local.get $from)) (i32.and (local.get $key) (i32.const 0xff))))
            (i32.store8 (local.get $to) (local.get $four))
            (local.set $seen (i32.or (local.get $seen) (i32.and (local.get $four) (i32.const 0x80))))
            (local.set $key (i32.shr_u (local.get $key) (i32.const 8)))
            (local.set $from (i32.add (local.get $from) (i32.const 1)))
            (local.set $to (i32.add (local.get $to) (i32.const 1)))
            (br $bytes)))
        (br_if $done (i32.and (i32.eq (local.get $first) (i32.const 0x81)) (i32.ne (local.get $seen) (i32.const 0))))
        (local.set $at (local.get $last))
        (local.set $out (local.get $to))
        (br_if $next (i32.lt_u (local.tee $count (i32.add (local.get $count) (i32.const 1))) (local.get $most)))))
    (i32.or
      (i32.shl (i32.sub (local.get $at) (local.get $begin)) (i32.const 9))
      (local.get $count))))
