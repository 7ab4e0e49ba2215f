"""Signs of programming languages: keywords, marks and names, as our own reading of their manuals.

Nothing is trained, so no licence but the project's own is on the lists. Names are those of GitHub
Linguist. A sign that several languages have is listed with each of them, and then says little of
any (`identification`). A line of a list is signs between spaces:

    word     an identifier, in the case in which the language writes it
    ^word    the same, first in its line; ^-- a line that begins with these marks
    word(    directly before one of ( ! ? : { <
    #word    directly behind one of # @ $ % & : . ! - \\ /
    ->       two or three marks side by side
    ;|       a line that ends in this mark; word+word two words with one blank between
"""

from typing import Final

SIGNS: Final[dict[str, str]] = {
    "Ada": (
        "^procedure ^begin ^end is+new ^with ^use Ada Put_Line Text_IO := => ^loop ^elsif "
        "^package ^pragma range in+out ^type access constant ^exception ^-- end+loop end+if"
    ),
    "Assembly": (
        "^mov ^push ^pop ^call ^ret ^jmp ^lea ^xor ^cmp ^je ^jne ^jz ^add ^sub ^int eax ebx ecx "
        "edx rax rbx rcx rdx rsp rbp rsi rdi esp ebp #text #data #globl #section ^section "
        "^global ^syscall ^; #word #byte ^addi ^lw ^sw ^li ^la ^beq ^bne ^move #t0 #t1 #s0 #a0 "
        "#v0 #sp #zero #ra #asciiz ^db ^dw ^nop"
    ),
    "Awk": (
        "^BEGIN ^END NR NF FS OFS RS ORS $0 $1 $NF FILENAME getline gsub( sub( split( substr( "
        "printf tolower( ^function awk length( ^# BEGIN{ END{ $2 ARGV ARGC ENVIRON SUBSEP"
    ),
    "Batchfile": (
        "^echo ^set ^goto ^rem ^REM errorlevel #EOF ^call ^exit ^pause ^:: %% setlocal "
        "enabledelayedexpansion ^cls %i"
    ),
    "C": (
        "#include #define #ifndef #ifdef #endif printf( scanf( malloc( free( sizeof( struct int "
        "char void const static unsigned NULL size_t stdio stdlib string #h typedef int+main "
        "return /* */ -> // fprintf( stderr uint8_t uint32_t int32_t ^// ^/* ;| ^enum memcpy( "
        "strlen( strcpy( calloc( ^typedef extern ^struct long double float exit( FILE fopen( "
        "argc argv unsigned+int unsigned+char %d"
    ),
    "C#": (
        "get set ^using using+System System namespace ^namespace Console #WriteLine WriteLine( "
        "string public private static void class var new public+class static+void async await "
        "Task override #Select #Where List< => {| ;| ^/// ^// IEnumerable #endregion readonly "
        "sealed internal ^foreach foreach decimal partial string[ Main( virtual #ToList nameof "
        "Dictionary< IEnumerable< public+static delegate int? ?? bool"
    ),
    "C++": (
        "#include std std: :: cout cin endl << >> iostream vector vector< template ^template "
        "template< typename class public: private: protected: nullptr const auto new delete "
        "virtual override namespace ^namespace ^using using+namespace string unique_ptr "
        "shared_ptr map operator this -> ;| ^// bool int+main #cpp #hpp size_t noexcept "
        "constexpr static_cast< unordered_map explicit const+auto friend #push_back char int "
        "float double struct return void main( /* */"
    ),
    "Clojure": (
        "(defn (def (let (ns (fn defn ns def let fn (println println (map (reduce (require "
        ":require #keys (if (when (-> ->> defmacro swap! reset! atom deref assoc conj (loop "
        "recur defprotocol defrecord nil ^;; ^; (str (: clojure #clojure doseq dosync (filter "
        "(assoc :as #refer partial inc"
    ),
    "CMake": (
        "cmake_minimum_required( project( add_executable( add_library( target_link_libraries( "
        "set( endif( if( message( find_package( include_directories( CMAKE_CXX_STANDARD "
        "target_include_directories( add_subdirectory( install( STATUS PUBLIC PRIVATE ${ "
        "CMAKE_SOURCE_DIR VERSION REQUIRED endforeach( foreach( option( FATAL_ERROR list( ^#"
    ),
    "COBOL": (
        "IDENTIFICATION DIVISION PROCEDURE WORKING SECTION PROGRAM PIC DISPLAY ^DISPLAY ^MOVE "
        "PERFORM STOP+RUN ACCEPT COMPUTE VALUE ^01 ^05 DATA+DIVISION ADD SUBTRACT DIVIDE GIVING "
        "VARYING UNTIL IDENTIFICATION+DIVISION PROCEDURE+DIVISION OCCURS"
    ),
    "CoffeeScript": (
        "-> => ^### unless isnt and or is then class extends constructor: ^class console #log "
        "alert switch when ^# -| >| #{ #length for+own of yes no loop until ->| ^alert"
    ),
    "Common Lisp": (
        "(defun defun (defvar (defparameter defparameter (setf setf (let (format #' (lambda "
        "(loop (cond (car cdr cons (list nil T defmacro (defmacro defclass ^; ^;; ^;;; => "
        "defstruct (quote (if (progn progn eq equal eql funcall mapcar #test #initarg #accessor "
        "#initform reduce defmethod defgeneric dolist dotimes multiple incf gethash aref "
        "loop+for"
    ),
    "Crystal": (
        "^def ^end puts ^require property getter ^struct ^class #new Int32 String Float64 Nil "
        "Array( Hash( ^lib ^fun ^macro {% %} typeof( #class ^# => do .. ^module Int64 UInt8 "
        "Char nil #raise"
    ),
    "CSS": (
        "#color color: background: background margin: padding: border: width: height: display: "
        "position: px em rem rgba( #fff #000 #media ^} hover: #hover ^. margin padding border "
        "font absolute relative block flex solid !important float: #container #first #child ;| "
        "{| content: url( rgb( color #import"
    ),
    "D": (
        "^import import+std std #writeln writeln( auto immutable void+main ^module #stdio "
        "foreach unittest @safe pure nothrow @nogc scope shared #format size_t #length cast( ~= "
        "in out lazy string template mixin struct class alias to! map! filter! ref real "
        "invariant debug version( #array #sizeof assert( typeof( ;| ^// ^/++ writefln("
    ),
    "Dart": (
        "^import void+main main( print( final var String int double bool dynamic Future Future< "
        "async await List< Map< Widget @override override #map extends class late factory "
        "required const => ;| ^/// ?. ?? #toString setState( build( BuildContext Stream "
        "package: dart: mixin implements num typedef with #then ^class ^final"
    ),
    "Dockerfile": (
        "^FROM ^RUN ^CMD ^COPY ^ADD ^ENV ^EXPOSE ^WORKDIR ^ENTRYPOINT ^ARG ^LABEL ^VOLUME ^USER "
        "^MAINTAINER FROM+ubuntu AS && ^HEALTHCHECK install as+build"
    ),
    "Elixir": (
        "^def ^defp ^defmodule ^do ^end |> IO #puts #inspect fn -> <- %{ Enum #map ^case ^use "
        "^alias ^import @doc @moduledoc @spec nil ^cond :ok #error {: ^iex GenServer spawn( "
        "^receive when is_binary( is_list( defstruct #{ <> ++ ^defstruct ^@ raise rescue "
        "#reduce unless #each #Enum __MODULE__"
    ),
    "Elm": (
        "^module exposing ^import import+Html ^type type+alias alias -> |> <| Html Msg Model "
        "^case of ^let ^in ^view ^update ^main ++ Maybe Just Nothing Cmd Sub List #map ^-- {- "
        "-} String Int #text onClick div Result :: ^port"
    ),
    "Erlang": (
        "#module #export -> io: spawn( receive ^receive ^end <- =:= =/= when fun ok gen_server "
        "^% ^%% .| lists: lists length( after undefined self( is_atom( is_integer( atom << >> "
        "^case handle_call("
    ),
    "F#": (
        "^let let+rec ^open ^module ^type ^match with -> |> <- printfn fun List #map #List Seq "
        "Array sprintf ^| ^// (* *) mutable Async async{ async let! use! #iter ^namespace "
        "^member member rec int string float of >> ^elif ^[< Some None #Length option yield "
        "return! #filter #fold"
    ),
    "Fortran": (
        "^program ^subroutine ^integer ^real ^implicit implicit+none ^call ^do ^print :: "
        "^module ^contains ^use intent( #and #or #eq #gt #lt #true #false dimension( "
        "allocatable parameter ^! ^type character( allocate( ^function read( stop real( logical "
        "** INTEGER REAL ^PROGRAM ^SUBROUTINE ^END IMPLICIT+NONE CALL WRITE( intent"
    ),
    "Go": (
        "err append( ^package package+main ^import ^func func+main fmt #Println #Printf := "
        "^type ^var struct{ interface{ interface nil chan <- go defer defer+func make( map[ "
        "range string int error func( {| ^// #Error go+func len( select ^const iota ^defer "
        "^return http ioutil uint8 byte rune panic( #Sprintf fallthrough int64 float64"
    ),
    "GraphQL": (
        "^query ^mutation ^type ^input ^fragment fragment ^schema ^scalar ^enum ^interface ID! "
        "String! Int! Boolean Float ^subscription extend on ... ]! query: mutation: implements "
        "type+Query type+Mutation ^union #include #skip #deprecated"
    ),
    "Groovy": (
        "^def def println ^println ^class ^import -> it #each #collect ${ as closure Closure ^@ "
        "task ^apply dependencies{ compile #groovy #Grab ^// assert ?. ?: <=> #findAll #grep "
        "#inject final String GString static+void new repositories plugins #with #any *. each{ "
        "collect{ def+x boolean delegate #toString #size"
    ),
    "Haskell": (
        "^module where ^import qualified -> :: => <- ^data ^type ^instance ^class deriving "
        "^newtype let in ^main IO putStrLn Maybe Just Nothing Int Integer String return ^where "
        "^-- {- -} ++ >>= <$> <*> map foldr foldl foldr1 otherwise ^otherwise ghci Prelude xs "
        ":t Either Left Right Monad Functor fmap ^let case+of print Bool Char Show Eq LANGUAGE "
        "forall mapM_ zip filter ^| \\x ..] True False"
    ),
    "HTML": (
        "</ /> <html <head <body <div <p <a <ul <li <br <img <script <span <table <tr <td <h1 "
        "<title <meta <link <form <input DOCTYPE charset stylesheet href div li ul td tr ^< >| "
        "<! <!- -->"
    ),
    "Java": (
        "^import import+java java util public+class public+static static+void String System "
        "#out #println println( private public protected class extends implements new final "
        "@Override void int boolean static return throws Exception List< ArrayList< Map< "
        "HashMap< this interface package ^package ^/** ^* {| ;| ^// instanceof String[ args "
        "try{ catch null super( abstract synchronized String+args Integer ^@ Scanner "
        "IOException enum throw+new public+void main( org javax"
    ),
    "JavaScript": (
        "^var ^let ^const ^function function function( console #log => === !== undefined null "
        "this new #prototype require( module #exports ^import ^export from typeof document "
        "#getElementById window async await Promise #then #length return ^// {| ;| }); () JSON "
        "#stringify setTimeout( alert( NaN #addEventListener $( var+x jQuery ${ #querySelector "
        "export+default React ^return class let delete async+function default extends "
        "constructor( //"
    ),
    "JSON": ('": }, ], ^" true false null ^{ ^} ^] ^"}'),
    "Julia": (
        "^function ^end println( ^using ^import ^struct mutable ^module :: ^for ^begin ^macro "
        "@time nothing Int64 Float64 ^julia => <: Array{ Vector{ String ^abstract abstract+type "
        "^# ^elseif ^@ push! missing typeof( Dict( where .+ .* isa Any ^const ccall( repr( "
        "eltype( length( Int Union{ #= =# Base #show ^primitive ^let ^do .= Matrix Tuple Symbol "
        "Pkg $( collect( eachindex( AbstractString"
    ),
    "Kotlin": (
        "^fun fun+main fun val ^val var ^var println( ^package ^import ^class data+class data "
        "object companion companion+object override when when( is in ?: ?. !! -> String Int "
        "Unit listOf( mutableListOf( mapOf( suspend lateinit sealed #let #apply it ${ List< ^// "
        "Boolean interface open ^object constructor( internal by+lazy inline reified until "
        "downTo Any? String? init{ ^@ kotlin infix operator+fun private+val Array<"
    ),
    "Lua": (
        "^local local+function local ^function ^end ^elseif nil .. ~= ^-- -- print( pairs( "
        "ipairs( require( setmetatable( __index table #insert string #format ^return repeat "
        "^until until self self: not and or ^for #gsub ]] function( tostring( dofile( local+x "
        "type("
    ),
    "Makefile": (
        "#PHONY $( $@ $< $^ := ?= ^CC ^CFLAGS all: clean: ^include ^ifeq ^endif ^ifdef wildcard "
        "patsubst shell ^# @echo += CC LDFLAGS Makefile make foreach %: $* ^ifneq ^export #o"
    ),
    "MATLAB": (
        "^function ^end disp( fprintf( ^% ^%% zeros( ones( plot( figure hold size( ^clear ^clc "
        "^close numel( length( .* ./ .^ ... ]; ); ^for ^if ^switch ^otherwise ~= linspace( "
        "xlabel( ylabel( ^classdef ^methods ^properties isempty( strcmp( num2str( rand( inv( "
        "eye( transpose ans cell( varargin nargin nargout @( find( clear+all hold+on"
    ),
    "Nim": (
        "^proc ^var ^let ^import echo ^echo ^type object ref seq[ ^method ^template ^macro "
        "^iterator ^when ^discard discard ^elif ^of ^case ^# nil result ^result int string "
        "float tuple enum @[ addr ptr array[ iterator yield ^block isMainModule ^const mod div "
        "openArray[ and not ^assert ^from cast[ :| =| ..< let+x proc( converter"
    ),
    "Objective-C": (
        "#import @interface @implementation @end @property NSString NSLog( NSArray NSObject [[ "
        ']; @" nil self YES NO nonatomic strong ^- ^+ -( +( @selector @autoreleasepool '
        "NSMutableArray NSInteger Foundation NSNumber BOOL @protocol id ^@ ]| UIView "
        "NSDictionary #synthesize @try @catch (NSString copy weak IBOutlet NSUInteger [self"
    ),
    "OCaml": (
        "^let let+rec ^open ^module ^type ^match with -> |> in ;; ^;; (* *) fun function Printf "
        "#printf List #map ^| ref := mutable rec val sig struct ^val ^end ^and begin end option "
        "Some None string int unit Hashtbl #iter failwith try+with raise of :: ^. +. *. "
        "^external ^exception print_string print_endline ^# array 'a ocaml"
    ),
    "Pascal": (
        "^program ^begin ^end ^var ^procedure ^function := writeln( WriteLn( readln( ^uses "
        "^type ^const ^repeat ^until ^for ^while integer string Integer String boolean ^unit "
        "interface implementation array+of record of downto ^if ^else div mod {$ nil procedure "
        "^Begin ^End ^(* ^{ writeln WriteLn ReadLn ShowMessage( pointer real char"
    ),
    "Perl": (
        "^my my my( ^use use+strict strict warnings ^sub sub ^print print => -> $_ %h =~ !~ "
        "^package shift ^foreach foreach+my ^if unless elsif qw( qw #ARGV $self ne eq push die "
        "^open open( ^#! perl bless local our chomp chomp( keys @array %hash split join $x $1 "
        "=>{ ^= undef ref( scalar ^return \\@ \\% last next __PACKAGE__ CPAN"
    ),
    "PHP": (
        "<? php ?> $this -> => echo ^echo function ^function $_ #_GET #_POST #_SERVER array( "
        "public private protected ^namespace ^use class extends foreach( foreach isset( $array "
        "$i $x $a $b $data $key $value elseif endif endforeach require_once include print_r( "
        "var_dump( :: ^$ null new ;| ^// ^# strlen( count( implements trait $var str_replace( "
        "die( define( const __construct( function+__construct PDO mysql_query( mysqli unset( "
        "empty( static"
    ),
    "PowerShell": (
        "^$ Write Get Set New Invoke Host -eq -ne -gt -lt -like -match #Path #Force param( "
        "^param ^function [Parameter $_ $PSVersionTable $env $true $false -ErrorAction Object "
        "ForEach ChildItem Output Cmdlet CmdletBinding #Name $null Item Export Module ^<# #> "
        "Content foreach( $i #Property"
    ),
    "Prolog": (
        ":- ^:- ?- ^?- .| ,| is \\+ ^% /* H T member( append( nl write( writeln( format( assert( "
        "retract( findall( fail true [] -> \\= =.. X Y Z L parent( succ( consult( length( "
        "use_module( dynamic :-| atom( var( nonvar( swipl Prolog ==>"
    ),
    "Protocol Buffer": (
        "^message ^syntax proto3 proto2 ^enum ^service ^rpc rpc returns returns( repeated "
        "optional required int32 int64 string bool bytes uint32 ^import ^package ^option ^oneof "
        "oneof map< ^reserved ^string ^int32 ^repeated ^bool stream ;| google protobuf "
        "^optional java_package"
    ),
    "Python": (
        "^try ^else ^finally ^def ^class ^import ^from ^elif ^except ^with ^return def self "
        "#self __init__ __init__( __name__ __main__ None True False print( import+numpy as np "
        'in range( len( lambda lambda+x ^if ^for ^while ^@ ^>>> >>> ^# :| ^""" \'\'\' """ not '
        "in+range is+None and or yield ^yield ^raise raise async+def await isinstance( str( "
        "int( list( dict( pip super( ^pass ^print ^assert ^async with+open open( args kwargs ** "
        "ValueError not+in is+not ^nonlocal ^del ^global enumerate( #py Exception elif import "
        "from str int except try ^in"
    ),
    "R": (
        "<- library( function( c( ggplot( #frame ^# print( %>% TRUE FALSE NULL NA <<- paste( "
        "cat( sapply( lapply( apply( mean( plot( nrow( ncol( matrix( factor( head( summary( "
        "str( rnorm( names( rep( seq( else{ data[ #csv #packages which( setwd( ^> aes( "
        "colnames( dplyr class( stop( vector( dim( length( rbind( cbind( list( tapply("
    ),
    "Raku": (
        "^my my ^sub ^say say ^class ^method ^has $. $! @. @! %. ^multi multi ^grammar ^token "
        "^rule ^role :$ ==> => ~~ ^given ^when ^gather take {*} .say .elems .map $^ -> <=> "
        "#perl #raku MAIN ^proto start await supply react whenever subset where ^# xx ... is+rw "
        "Int Str #WHAT ^constant ^need ^enum .. ^loop @array %hash unless elsif"
    ),
    "Ruby": (
        "^def ^end ^class ^module ^require ^puts puts ^attr_accessor #each elsif ^elsif unless "
        "^unless nil #new => ^@ #{ ^include self #map rescue ^rescue ensure begin yield ^yield "
        "^if then attr_reader attr_accessor initialize initialize( ^irb gem #to_s #length @name "
        "lambda proc #inspect #select #times #each_with_index << :: #inject def+self "
        "def+initialize ^raise ^private :symbol ^when ^case require_relative ActiveRecord @@ ^# "
        "&block"
    ),
    "Rust": (
        "^fn fn ^let let+mut let mut ^use ^impl impl ^pub pub+fn pub ^struct ^enum ^match match "
        "-> => :: &str &mut &self String String: Vec< Vec Option< Result< Some( None Ok( Err( "
        "println! vec! i32 u32 u8 u64 f64 usize #unwrap self ^mod ^trait trait #collect dyn "
        "Box< crate ^extern where 'a 'static ^#[ #derive ^// ^/// {| ;| unsafe as_str loop "
        "^loop macro_rules! format! panic! assert_eq! move async str i64 isize &[ ref std"
    ),
    "Scala": (
        "^object ^def def val ^val var ^import ^package case+class ^case case => extends with "
        "trait ^trait sealed implicit override println( Int String Unit Option[ Some( None "
        "List( Seq( Map( List[ match{ match Future[ Any _ <- ^class yield lazy+val lazy type :: "
        "scala #scala #foreach extends+App Array[ Seq[ ^@ implicit+val #flatMap def+main "
        "Boolean private[ Either[ IO[ ^// println this"
    ),
    "Scheme": (
        "(define define (lambda lambda (let (if (cond (car (cdr (cons (list (display (newline "
        "display newline set! #t #f null? eq? equal? ^; ^;; (begin (else else zero? racket "
        "#lang (module (provide (require letrec string? (quote #racket pair? (for (displayln "
        "printf struct hash values foldl"
    ),
    "Shell": (
        "^#!/ ^#! bash #bash echo ^echo [[ ]] ^fi ^done ^do ^then ^esac ;; ${ $( $1 $2 $@ $? $# "
        "^export export ^sudo sudo cd ^cd mkdir ^mkdir rm ls ^ls grep sed awk ^for ^while ^case "
        "^elif && || ^local -z -n -f -d -eq #sh ^function ^source ^exit ^read ^set chmod ^$ "
        "$HOME $PATH cat ^cat curl ^curl wget git ^git ^npm ^pip install ^unset tar xargs find "
        "^return sh printf ^# ^docker ssh apt dev null ^mv ^cp ^touch ^chmod ^gem ^brew ^make "
        "^tar ^alias alias ^kill ^ps ^awk ^sed"
    ),
    "Smalltalk": (
        ":= ^| Transcript #show show: ifTrue: ifFalse: do: [: ^^ self ^self super new #new cr "
        "value: at: put: collect: select: inject: Smalltalk subclass: instanceVariableNames: "
        "category: OrderedCollection Object timesRepeat: to: whileTrue: printNl displayNl size "
        '.| ^" nil yourself detect: add: keysDo: reject: with: ^Transcript ^x asString value '
        "isNil includes: isEmpty key: Date"
    ),
    "Solidity": (
        "^pragma pragma+solidity solidity ^contract contract uint256 uint address mapping( "
        "mapping msg #sender public private external internal view pure payable returns "
        "returns( require( emit ^event event ^modifier modifier memory storage ^function "
        "function ^constructor constructor( bytes32 ^/// ^// ;| {| wei ether selfdestruct( "
        "revert( uint8 indexed now block #timestamp bool address+public ^mapping library delete "
        "is tx string"
    ),
    "SQL": (
        "^SELECT ^FROM ^WHERE ^INSERT ^UPDATE ^DELETE ^CREATE ^ALTER ^DROP SELECT FROM WHERE "
        "INTO VALUES ^GROUP ^ORDER BY JOIN INNER LEFT ON NULL NOT VARCHAR( INT PRIMARY+KEY "
        "PRIMARY TABLE CREATE+TABLE AND COUNT( AS ^select ^from ^where ^insert ^create ^update "
        "group+by order+by primary+key table varchar( ^-- FOREIGN+KEY REFERENCES DEFAULT INDEX "
        ";| DISTINCT HAVING UNION BEGIN END ^SET ^USE DATABASE LIMIT ^JOIN create+table "
        "insert+into values( inner+join left+join count( sum( INSERT+INTO"
    ),
    "Swift": (
        "^func func ^let let ^var var ^import import+Foundation import+UIKit guard guard+let "
        "if+let nil print( -> ^class ^struct ^enum ^protocol ^extension extension override "
        "init( self String Int Double Bool [String ?? @IBOutlet @objc UIViewController lazy "
        "weak private switch case+let throws try? try! defer fallthrough mutating typealias ^// "
        "^/// \\( in inout associatedtype deinit subscript( Any ..< ... where func+application "
        "#count #map #forEach deinit{ some View struct+ContentView @State"
    ),
    "Tcl": (
        "^proc ^set ^puts puts set+x ^if ^foreach ^while incr ^incr [expr expr ^namespace "
        "^package ^return [list list lindex llength lappend ^lappend upvar uplevel global "
        "^global regexp string+equal dict [dict ^dict {*} ^variable tcl {| }| ^# elseif eval "
        "concat [lindex yield coroutine [set [string namespace+eval interp unset catch ::"
    ),
    "TOML": (
        "^[[ ^[ ]] ^name ^version ^title ^authors true false [[ [package dependencies toml TOML "
        '^key ]| "| ^# \'\'\' """'
    ),
    "TypeScript": (
        "^interface interface ^export ^import ^type ^const ^let ^enum string number boolean any "
        "void private public readonly implements ^declare declare namespace abstract Promise< "
        "Array< => as keyof Partial< undefined enum never unknown ?: string[ number[ generic "
        "#component ts export+class export+interface ^abstract from ;| {| ^// === function "
        "constructor( Observable extends console #log async Record< Angular type+alias"
    ),
    "Verilog": (
        "^module ^endmodule ^input ^output ^wire ^reg ^always ^assign ^initial posedge negedge "
        "always @( ^end <= reg wire input output 'b #display endcase ^case ^begin ^else logic "
        "^logic parameter ^parameter `timescale `define always_ff always_comb #finish #monitor "
        "endfunction ^// ;| module inout"
    ),
    "VHDL": (
        "downto ^library ^entity ^architecture ^signal ^process process( ^begin ^end ^port ieee "
        "IEEE std_logic std_logic_vector( std_logic_1164 <= := rising_edge( ^use is ^component "
        "^generic ^-- out in port+map ^elsif ^case ^when #all STD_LOGIC ^ARCHITECTURE ^ENTITY "
        "unsigned( others entity behavioral Behavioral"
    ),
    "Visual Basic .NET": (
        "^Dim Dim As As+String As+Integer String Integer ^Sub ^End ^Private ^Public Private+Sub "
        "Sub ^If Then ^Else ^ElseIf ^Imports ^Module ^Function ^For ^Next Console #WriteLine "
        "WriteLine( ReadLine( ^Loop ^Do ^While ^Class ^Set ^MsgBox MsgBox( Handles ByVal ByRef "
        "^' Nothing New ^Select ^Case ^Return Boolean End+Function ^Property Inherits ^With "
        "Wend ReadLine Double"
    ),
    "XML": (
        "<? <! xml xmlns: xmlns </ /> --> ^< >| ^</ #xml CDATA xsl: xs: soap: schema encoding "
        "ELEMENT ATTLIST #PCDATA #xsd ^<? xs xsl pom groupId artifactId android: dtd"
    ),
    "YAML": (
        "kind: metadata: spec: services: image: steps: hosts: tasks: run: env: ports: title: "
        "description: ^- ^--- ^# :| name: key: version: true false yes no ^? &a << ^<<: || >| "
        "^key ansible"
    ),
    "Zig": (
        "^const ^pub ^fn pub+fn fn ^var const+std #import std #debug #print comptime !void void "
        "u8 u32 i32 usize try catch orelse ^test test ^defer errdefer defer #{ .{ anyerror "
        "^while ^return struct{ union( switch( allocator #allocator undefined ^// ;| "
        "unreachable #init #deinit #mem inline ^export ArrayList expect( const+u8 struct "
        "const+x"
    ),
}
"""Language to its signs."""

ALIASES: Final[dict[str, str]] = {
    "bash": "Shell", "sh": "Shell", "zsh": "Shell", "console": "Shell", "shell": "Shell",
    "shellscript": "Shell", "bat": "Batchfile", "cmd": "Batchfile", "c++": "C++", "cpp": "C++",
    "cc": "C++", "cxx": "C++", "hpp": "C++", "h": "C", "cs": "C#", "csharp": "C#", "c#": "C#",
    "clj": "Clojure", "coffee": "CoffeeScript", "lisp": "Common Lisp", "commonlisp": "Common Lisp",
    "cl": "Common Lisp", "cr": "Crystal", "docker": "Dockerfile", "ex": "Elixir", "exs": "Elixir",
    "erl": "Erlang", "fs": "F#", "fsharp": "F#", "f#": "F#", "f90": "Fortran", "f": "Fortran",
    "golang": "Go", "gql": "GraphQL", "gradle": "Groovy", "htm": "HTML", "hs": "Haskell",
    "js": "JavaScript", "jsx": "JavaScript", "node": "JavaScript", "mjs": "JavaScript",
    "jl": "Julia", "kt": "Kotlin", "kts": "Kotlin", "octave": "MATLAB", "m": "MATLAB",
    "make": "Makefile", "mk": "Makefile", "ml": "OCaml", "objc": "Objective-C",
    "objectivec": "Objective-C", "objective-c": "Objective-C", "pas": "Pascal", "delphi": "Pascal",
    "pl": "Perl", "ps1": "PowerShell", "posh": "PowerShell", "proto": "Protocol Buffer",
    "protobuf": "Protocol Buffer", "py": "Python", "python3": "Python", "pycon": "Python",
    "ipython": "Python", "rb": "Ruby", "perl6": "Raku", "rs": "Rust", "racket": "Scheme",
    "rkt": "Scheme", "scm": "Scheme", "sol": "Solidity", "mysql": "SQL", "postgresql": "SQL",
    "plsql": "SQL", "tsql": "SQL", "st": "Smalltalk", "ts": "TypeScript", "tsx": "TypeScript",
    "asm": "Assembly", "nasm": "Assembly", "mips": "Assembly", "vb": "Visual Basic .NET",
    "vbnet": "Visual Basic .NET", "visualbasic": "Visual Basic .NET", "v": "Verilog",
    "systemverilog": "Verilog", "yml": "YAML", "svg": "XML", "jsonc": "JSON", "less": "CSS",
    "scss": "CSS", "sass": "CSS",
}  # fmt: skip
"""Words behind a fence, in lower case, that are not a language's name in lower case."""
